// Two maps, value by value; the second may have one pixel for several of the first.

struct Sizes {
    items: u32,
    quads: u32,
    // Of the first map to one of the second.
    pixels: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn each(index: u32) {
    let other = b[index / sizes.quads / sizes.pixels * sizes.quads + index % sizes.quads];
    if MULTIPLY != 0u {
        y[index] = activate(a[index] * other);
    } else {
        y[index] = activate(a[index] + other);
    }
}
