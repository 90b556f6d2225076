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

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let out = place(index, sizes.out_rows, sizes.out_columns, sizes.quads);
    let image = out.image * sizes.rows;
    // Never empty: its centre is in the map.
    let row = out.row * STRIDE;
    let column = out.column * STRIDE;
    var greatest = x[((image + row) * sizes.columns + column) * sizes.quads + out.quad];
    for (var i = row - min(row, REACH); i <= min(row + REACH, sizes.rows - 1u); i++) {
        for (var j = column - min(column, REACH); j <= min(column + REACH, sizes.columns - 1u); j++) {
            greatest = max(greatest, x[((image + i) * sizes.columns + j) * sizes.quads + out.quad]);
        }
    }
    y[index] = greatest;
}
