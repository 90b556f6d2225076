// A map copied to some of the channels of another, whose pixels may be several for one of its own.

struct Sizes {
    items: u32,
    // Of the input and of the output.
    quads: u32,
    out_quads: u32,
    // The first quad of the output.
    first: u32,
    // Pixels of the output to one of the input.
    pixels: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let quad = index % sizes.quads;
    let pixel = index / sizes.quads;
    y[pixel * sizes.out_quads + sizes.first + quad] = x[pixel / sizes.pixels * sizes.quads + quad];
}
