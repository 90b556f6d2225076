// Every map is [batch, height, width, quads]: four channels are a Quad, of 32 or 16 bits each; what is computed has 32.

const THREADS = 64u;

// Where an item of a map of [rows, columns, quads] is.
struct Place {
    image: u32,
    row: u32,
    column: u32,
    quad: u32,
}

fn place(item: u32, rows: u32, columns: u32, quads: u32) -> Place {
    let pixel = item / quads;
    let line = pixel / columns;
    return Place(line / rows, line % rows, pixel % columns, item % quads);
}

// relu6(x + 3) / 6
fn gate(x: vec4<f32>) -> vec4<f32> {
    return clamp(x + 3.0, vec4<f32>(), vec4<f32>(6.0)) * (1.0 / 6.0);
}

