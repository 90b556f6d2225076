// A convolution of every channel by itself, a thread for every quad of the output.

struct Sizes {
    items: u32,
    // Of the input and of the output: [height, width, quads].
    rows: u32,
    columns: u32,
    quads: u32,
    out_rows: u32,
    out_columns: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
// [tap, quad].
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
// The bias again where there is none.
@group(0) @binding(3) var<storage, read> residual: array<Quad>;
@group(0) @binding(4) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let out = place(index, sizes.out_rows, sizes.out_columns, sizes.quads);
    let image = out.image * sizes.rows;
    let top = i32(out.row * STRIDE) - i32(PADDING);
    let left = i32(out.column * STRIDE) - i32(PADDING);
    var sum = bias[out.quad];
    for (var down = 0u; down < KERNEL; down++) {
        let row = u32(top + i32(down * DILATION));
        if row >= sizes.rows {
            continue;
        }
        for (var right = 0u; right < KERNEL; right++) {
            let column = u32(left + i32(right * DILATION));
            if column < sizes.columns {
                let weight = weights[(down * KERNEL + right) * sizes.quads + out.quad];
                let value = x[((image + row) * sizes.columns + column) * sizes.quads + out.quad];
                sum += weight * vec4<f32>(value);
            }
        }
    }
    if RESIDUAL != 0u {
        sum += vec4<f32>(residual[index]);
    }
    y[index] = Quad(activate(sum));
}
