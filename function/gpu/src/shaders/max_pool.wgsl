// The greatest value under a window, a thread for every quad of the output.

struct Sizes {
    items: u32,
    // Of the input.
    rows: u32,
    columns: u32,
    quads: u32,
    out_rows: u32,
    out_columns: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = item(group, groups, thread);
    if index >= sizes.items {
        return;
    }
    let quad = index % sizes.quads;
    let pixel = index / sizes.quads;
    let line = pixel / sizes.out_columns;
    let image = line / sizes.out_rows * sizes.rows;
    // Never empty: its centre is in the map.
    let row = line % sizes.out_rows * STRIDE;
    let column = pixel % sizes.out_columns * STRIDE;
    var greatest = x[((image + row) * sizes.columns + column) * sizes.quads + quad];
    for (var i = row - min(row, REACH); i <= min(row + REACH, sizes.rows - 1u); i++) {
        for (var j = column - min(column, REACH); j <= min(column + REACH, sizes.columns - 1u); j++) {
            greatest = max(greatest, x[((image + i) * sizes.columns + j) * sizes.quads + quad]);
        }
    }
    y[index] = greatest;
}
