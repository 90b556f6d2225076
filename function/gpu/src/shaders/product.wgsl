// What the kernels of dense convolutions share: a convolution is a product of two matrices. Rows are pixels of the output,
// columns its channels, and what is summed over are the channels of the input under every tap of the kernel. The first
// matrix is never made; its parts are read from the map as they are needed.

struct Sizes {
    // Of the input and of the output: [height, width, quads].
    rows: u32,
    columns: u32,
    quads: u32,
    out_rows: u32,
    out_columns: u32,
    out_quads: u32,
    // Of the output, in the whole batch.
    pixels: u32,
    // Quads that are summed over in a part.
    part: u32,
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
// The bias again where there is none.
@group(0) @binding(3) var<storage, read> residual: array<vec4<f32>>;
// Where the sums are of parts: [part, pixel, quad].
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

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
    let top = select(OUTSIDE, row, pixel < sizes.pixels);
    let left = i32(pixel % sizes.out_columns * STRIDE) - i32(PADDING);
    let first = i32(image * sizes.rows * sizes.columns) + top * i32(sizes.columns) + left;
    return Corner(top, left, first * i32(sizes.quads));
}

// A quad of the input under a tap, from a corner on.
struct Tap {
    down: i32,
    right: i32,
    offset: i32,
}

// The one of this number of those that are summed over, up to `end`.
fn tap_of(step: u32, end: u32) -> Tap {
    var tap = 0u;
    var quad = step;
    if KERNEL > 1u {
        tap = step / sizes.quads;
        quad = step % sizes.quads;
    }
    let down = select(OUTSIDE, i32(tap / KERNEL * DILATION), step < end);
    let right = i32(tap % KERNEL * DILATION);
    return Tap(down, right, (down * i32(sizes.columns) + right) * i32(sizes.quads) + i32(quad));
}

// Zeros beside the map.
fn value_at(corner: Corner, tap: Tap) -> vec4<f32> {
    var value = vec4<f32>();
    if u32(corner.top + tap.down) < sizes.rows && u32(corner.left + tap.right) < sizes.columns {
        value = x[corner.place + tap.offset];
    }
    return value;
}

// A sum, or what a convolution makes of it.
fn write(part: u32, pixel: u32, quad: u32, sum: vec4<f32>) {
    if pixel >= sizes.pixels || quad >= sizes.out_quads {
        return;
    }
    if PARTS != 0u {
        y[(part * sizes.pixels + pixel) * sizes.out_quads + quad] = sum;
    } else {
        finish(pixel, quad, sum);
    }
}
