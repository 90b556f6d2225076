// A thread for each item. How many there are is the first of a kernel's sizes, and `each` what it does with one.

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = (group.y * groups.x + group.x) * THREADS + thread;
    if index < sizes.items {
        each(index);
    }
}

