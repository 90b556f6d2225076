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
    let down = max(f32(pixel / sizes.out_columns) * sizes.down + sizes.top, 0.0);
    let right = max(f32(pixel % sizes.out_columns) * sizes.right + sizes.left, 0.0);
    let row = min(u32(down), sizes.rows - 1u);
    let column = min(u32(right), sizes.columns - 1u);
    let above = (sizes.image * sizes.rows + row) * sizes.columns;
    let below = (sizes.image * sizes.rows + min(row + 1u, sizes.rows - 1u)) * sizes.columns;
    let beside = min(column + 1u, sizes.columns - 1u);
    let places = vec4<u32>(above + column, above + beside, below + column, below + beside) * sizes.quads;
    let weights = clamp(vec2<f32>(right - f32(column), down - f32(row)), vec2<f32>(), vec2<f32>(1.0));

    var taken = 0u;
    var most = -3.4e38;
    for (var quad = 0u; quad < sizes.quads; quad++) {
        let logits = enlarged(places + quad, weights);
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
        sum += dot(select(vec4<f32>(), exp(enlarged(places + quad, weights) - most), there), vec4<f32>(1.0));
    }
    y[sizes.items + pixel] = bitcast<u32>(1.0 / sum);
    return taken;
}

fn enlarged(places: vec4<u32>, weights: vec2<f32>) -> vec4<f32> {
    let upper = mix(vec4<f32>(x[places.x]), vec4<f32>(x[places.y]), weights.x);
    let lower = mix(vec4<f32>(x[places.z]), vec4<f32>(x[places.w]), weights.x);
    return mix(upper, lower, weights.y);
}
