// Regions of a map, a thread for every quad of every bin.

struct Sizes {
    items: u32,
    // Of the map.
    rows: u32,
    columns: u32,
    quads: u32,
}

struct Region {
    // In pixels of the map, as x and y.
    start: vec2<f32>,
    bin: vec2<f32>,
    samples: vec2<u32>,
    // Which of the output.
    place: u32,
    // The first pixel of its image.
    first: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read> regions: array<Region>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let quad = index % sizes.quads;
    let bin = index / sizes.quads % (SIZE * SIZE);
    let region = regions[index / sizes.quads / (SIZE * SIZE)];
    let corner = region.start + region.bin * vec2<f32>(vec2<u32>(bin % SIZE, bin / SIZE));
    let step = region.bin / vec2<f32>(region.samples);
    var sum = vec4<f32>();
    for (var i = 0u; i < region.samples.y; i++) {
        for (var j = 0u; j < region.samples.x; j++) {
            sum += sample(corner + (vec2<f32>(vec2<u32>(j, i)) + 0.5) * step, region.first, quad);
        }
    }
    let count = max(region.samples.x * region.samples.y, 1u);
    y[(region.place * SIZE * SIZE + bin) * sizes.quads + quad] = Quad(sum / f32(count));
}

// More than a pixel outside the map counts as zero, less as its edge.
fn sample(place: vec2<f32>, first: u32, quad: u32) -> vec4<f32> {
    let size = vec2<f32>(vec2<u32>(sizes.columns, sizes.rows));
    if any(place < vec2<f32>(-1.0)) || any(place > size) {
        return vec4<f32>();
    }
    return between(around(first, place), quad);
}
