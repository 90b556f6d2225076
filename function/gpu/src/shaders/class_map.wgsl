// The most probable class of every pixel and its probability, from logits enlarged bilinearly; a thread for four pixels.

struct Sizes {
    items: u32,
    // Of the logits.
    rows: u32,
    columns: u32,
    quads: u32,
    classes: u32,
    // Which of a batch.
    image: u32,
    out_rows: u32,
    out_columns: u32,
    // Where the first row and column lie on the logits, and the distance from one to the next.
    top: f32,
    left: f32,
    down: f32,
    right: f32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
// [four pixels], a byte for the class of each, then [pixel], the bits of its probability.
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

fn each(index: u32) {
    var classes = 0u;
    for (var i = 0u; i < 4u; i++) {
        let pixel = index * 4u + i;
        if pixel < sizes.out_rows * sizes.out_columns {
            classes |= best(pixel) << (8u * i);
        }
    }
    y[index] = classes;
}

// Writes the probability, answers the class: the first of equals.
fn best(pixel: u32) -> u32 {
    let place = vec2<f32>(vec2<u32>(pixel % sizes.out_columns, pixel / sizes.out_columns));
    let scale = vec2<f32>(sizes.right, sizes.down);
    let first = sizes.image * sizes.rows * sizes.columns;
    let pixels = around(first, place * scale + vec2<f32>(sizes.left, sizes.top));

    var taken = 0u;
    var most = -3.4e38;
    for (var quad = 0u; quad < sizes.quads; quad++) {
        let logits = between(pixels, quad);
        for (var i = 0u; i < 4u; i++) {
            if logits[i] > most && quad * 4u + i < sizes.classes {
                most = logits[i];
                taken = quad * 4u + i;
            }
        }
    }
    var sum = 0.0;
    for (var quad = 0u; quad < sizes.quads; quad++) {
        let there = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(sizes.classes);
        sum += dot(select(vec4<f32>(), exp(between(pixels, quad) - most), there), vec4<f32>(1.0));
    }
    y[sizes.items + pixel] = bitcast<u32>(1.0 / sum);
    return taken;
}
