// Every map is [batch, height, width, quads]: four channels are a quad.

const THREADS = 64u;

// Which item a thread is for, where there is one for each.
fn item(group: vec3<u32>, groups: vec3<u32>, thread: u32) -> u32 {
    return (group.y * groups.x + group.x) * THREADS + thread;
}

// relu6(x + 3) / 6
fn gate(x: vec4<f32>) -> vec4<f32> {
    return clamp(x + 3.0, vec4<f32>(), vec4<f32>(6.0)) * (1.0 / 6.0);
}

