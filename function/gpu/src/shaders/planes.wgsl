// One channel of each map of a batch, a thread for every value.

struct Sizes {
    items: u32,
    // Of one map.
    pixels: u32,
    quads: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
// One for each map.
@group(0) @binding(1) var<storage, read> channels: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn each(index: u32) {
    let channel = channels[index / sizes.pixels];
    let quad = x[index * sizes.quads + channel / 4u];
    y[index] = f32(quad[channel % 4u]);
}
