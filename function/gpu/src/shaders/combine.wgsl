// Two maps, value by value; the second may have one pixel for several of the first.

struct Sizes {
    items: u32,
    quads: u32,
    // Of the first map to one of the second.
    pixels: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> a: array<Quad>;
@group(0) @binding(1) var<storage, read> b: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let one = vec4<f32>(a[index]);
    let other = vec4<f32>(b[index / sizes.quads / sizes.pixels * sizes.quads + index % sizes.quads]);
    if MULTIPLY != 0u {
        y[index] = Quad(activate(one * other));
    } else {
        y[index] = Quad(activate(one + other));
    }
}
