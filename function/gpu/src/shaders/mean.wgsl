// The mean of every channel, a workgroup for every quad of every image.

struct Sizes {
    // Of an image.
    pixels: u32,
    quads: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

var<workgroup> sums: array<vec4<f32>, THREADS>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.y * sizes.pixels;
    var sum = vec4<f32>();
    for (var pixel = thread; pixel < sizes.pixels; pixel += THREADS) {
        sum += vec4<f32>(x[(first + pixel) * sizes.quads + group.x]);
    }
    sums[thread] = sum;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            sums[thread] += sums[thread + half];
        }
    }
    if thread == 0u {
        y[group.y * sizes.quads + group.x] = Quad(sums[0] / f32(sizes.pixels));
    }
}
