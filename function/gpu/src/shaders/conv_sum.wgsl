// The last step of a convolution whose sums were made in parts: adds these, a thread for every quad of the output.

struct Sizes {
    items: u32,
    out_columns: u32,
    out_quads: u32,
    // How many to a sum.
    parts: u32,
}

var<immediate> sizes: Sizes;

// [part, pixel, quad].
@group(0) @binding(0) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
// The bias again where there is none.
@group(0) @binding(2) var<storage, read> residual: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Out>;

fn each(index: u32) {
    var sum = parts[index];
    for (var part = 1u; part < sizes.parts; part++) {
        sum += parts[part * sizes.items + index];
    }
    finish(index / sizes.out_quads, index % sizes.out_quads, sum);
}
