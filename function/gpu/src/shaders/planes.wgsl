// One channel of each map of a batch, a thread for every value.

struct Sizes {
    // Of one map.
    pixels: u32,
    quads: u32,
    // Of the output.
    values: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
// One for each map.
@group(0) @binding(1) var<storage, read> channels: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = item(group, groups, thread);
    if index >= sizes.values {
        return;
    }
    let channel = channels[index / sizes.pixels];
    let quad = x[index * sizes.quads + channel / 4u];
    y[index] = quad[channel % 4u];
}
