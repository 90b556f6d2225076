// What the kernels of dense convolutions share: a convolution is a product of two matrices. Rows are pixels of the output,
// columns its channels, and what is summed over are the channels of the input under every tap of the kernel. The first
// matrix is never made; its parts are read from the map as they are needed.

struct Sizes {
    // Of the input, [height, width, pieces], and of the output, [height, width, quads].
    rows: u32,
    columns: u32,
    pieces: u32,
    out_rows: u32,
    out_columns: u32,
    out_quads: u32,
    // Of the output, in the whole batch.
    pixels: u32,
    // Pieces that are summed over in a part.
    part: u32,
}

var<immediate> sizes: Sizes;

// A piece is a quad, or as many as are read at once.
@group(0) @binding(0) var<storage, read> x: array<Piece>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
// The bias again where there is none.
@group(0) @binding(3) var<storage, read> residual: array<Quad>;
// Where the sums are of parts: [part, pixel, quad].
@group(0) @binding(4) var<storage, read_write> y: array<Out>;

// A row that no map has, nor one that a kernel goes on to from there.
const OUTSIDE = -0x20000000;

// Where the taps of a pixel of the output begin on the map: its row and column, and the place in memory.
struct Corner {
    top: i32,
    left: i32,
    place: i32,
}

fn corner_of(pixel: u32) -> Corner {
    let in_image = pixel % (sizes.out_rows * sizes.out_columns);
    let image = pixel / (sizes.out_rows * sizes.out_columns);
    let row = i32(in_image / sizes.out_columns * STRIDE) - i32(PADDING);
    let left = i32(pixel % sizes.out_columns * STRIDE) - i32(PADDING);
    let first = i32(image * sizes.rows * sizes.columns) + row * i32(sizes.columns) + left;
    return Corner(select(OUTSIDE, row, pixel < sizes.pixels), left, first * i32(sizes.pieces));
}

// One of the pieces that are summed over: of the input under a tap of the kernel.
struct Summand {
    tap: u32,
    piece: u32,
}

fn summand_of(number: u32) -> Summand {
    return Summand(number / sizes.pieces, number % sizes.pieces);
}

// The one that comes so many later.
fn later(summand: Summand, pieces: u32) -> Summand {
    var next = Summand(summand.tap, summand.piece + pieces);
    while KERNEL > 1u && next.piece >= sizes.pieces {
        next.tap += 1u;
        next.piece -= sizes.pieces;
    }
    return next;
}

// Where a summand is, from a corner on.
struct Offset {
    down: i32,
    right: i32,
    place: i32,
}

fn offset_of(summand: Summand) -> Offset {
    let down = i32(summand.tap / KERNEL * DILATION);
    let right = i32(summand.tap % KERNEL * DILATION);
    let pixels = down * i32(sizes.columns) + right;
    return Offset(down, right, pixels * i32(sizes.pieces) + i32(summand.piece));
}

// Zeros beside the map, and anything for what is not summed, whose weights are zeros. Read without a branch, which would
// stand in the way of reading several at once.
fn value_at(corner: Corner, offset: Offset, last: u32) -> Piece {
    let place = corner.place + offset.place;
    if KERNEL == 1u && PADDING == 0u {
        // All are in the map but those behind its last.
        return x[min(u32(place), last)];
    }
    let inside = u32(corner.top + offset.down) < sizes.rows && u32(corner.left + offset.right) < sizes.columns;
    return or_zeros(x[select(0, place, inside)], inside);
}

fn last_piece() -> u32 {
    let images = sizes.pixels / (sizes.out_rows * sizes.out_columns);
    return images * sizes.rows * sizes.columns * sizes.pieces - 1u;
}

// A sum, or what a convolution makes of it.
fn write(part: u32, pixel: u32, quad: u32, sum: vec4<f32>) {
    if pixel >= sizes.pixels || quad >= sizes.out_quads {
        return;
    }
    if PARTS != 0u {
        y[(part * sizes.pixels + pixel) * sizes.out_quads + quad] = Out(sum);
    } else {
        finish(pixel, quad, sum);
    }
}
