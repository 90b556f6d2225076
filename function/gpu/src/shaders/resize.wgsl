// A map in another size, a thread for every quad of the output.

struct Sizes {
    items: u32,
    // Of the input.
    rows: u32,
    columns: u32,
    quads: u32,
    out_rows: u32,
    out_columns: u32,
    // Pixels of the input to one of the output.
    down: f32,
    right: f32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let out = place(index, sizes.out_rows, sizes.out_columns, sizes.quads);
    let first = out.image * sizes.rows * sizes.columns;
    let pixel = vec2<f32>(vec2<u32>(out.column, out.row));
    let scale = vec2<f32>(sizes.right, sizes.down);
    if INTERPOLATED == 0u {
        let nearest = min(vec2<u32>(pixel * scale), vec2<u32>(sizes.columns, sizes.rows) - 1u);
        y[index] = x[(first + nearest.y * sizes.columns + nearest.x) * sizes.quads + out.quad];
    } else {
        y[index] = Quad(between(around(first, (pixel + 0.5) * scale - 0.5), out.quad));
    }
}
