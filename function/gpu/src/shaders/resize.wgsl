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
    let image = out.image * sizes.rows;
    let row = f32(out.row);
    let column = f32(out.column);
    let quad = out.quad;
    if INTERPOLATED == 0u {
        let above = min(u32(row * sizes.down), sizes.rows - 1u);
        let left = min(u32(column * sizes.right), sizes.columns - 1u);
        y[index] = Quad(at(image + above, left, quad));
        return;
    }
    let down = max((row + 0.5) * sizes.down - 0.5, 0.0);
    let right = max((column + 0.5) * sizes.right - 0.5, 0.0);
    let above = min(u32(down), sizes.rows - 1u);
    let left = min(u32(right), sizes.columns - 1u);
    let below = image + min(above + 1u, sizes.rows - 1u);
    let beside = min(left + 1u, sizes.columns - 1u);
    let weight = right - f32(left);
    let upper = mix(at(image + above, left, quad), at(image + above, beside, quad), weight);
    let lower = mix(at(below, left, quad), at(below, beside, quad), weight);
    y[index] = Quad(mix(upper, lower, down - f32(above)));
}

fn at(row: u32, column: u32, quad: u32) -> vec4<f32> {
    return vec4<f32>(x[(row * sizes.columns + column) * sizes.quads + quad]);
}
