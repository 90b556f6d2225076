// A convolution as a product of two matrices: rows are pixels of the output, columns its channels, and what is summed
// over are the channels of the input under every tap of the kernel. The first matrix is never made; its parts are read
// from the map as they are needed.
//
// A workgroup makes a tile, each of its ROWS by COLUMNS threads G * 4 pixels by H quads of it. What the next step needs
// is read from memory while the processor is busy with this one.

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
// [tap, input channel, output quad], the channels of a quad in a row.
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
// The bias again where there is none.
@group(0) @binding(3) var<storage, read> residual: array<vec4<f32>>;
// Where the sums are of parts: [part, pixel, quad].
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const GROUP = ROWS * COLUMNS;
// Quads of pixels, and of channels, of a tile.
const PIXELS = ROWS * G;
const QUADS = COLUMNS * H;
// Quads of the input of a step: each thread reads one, of four pixels.
const INPUTS = COLUMNS / G;
const DEPTH = INPUTS * 4u;

// [input channel, four pixels] and [input channel, four output channels].
var<workgroup> a: array<vec4<f32>, DEPTH * PIXELS>;
var<workgroup> b: array<vec4<f32>, DEPTH * QUADS>;

// Where quads of pixels lie in the rows of this quad of channels: turned, so that threads that write quads of one pixel
// write to different banks.
fn turned(pixels: u32, channels: u32) -> u32 {
    return (pixels + channels * (8u / INPUTS)) % PIXELS;
}

// A row that no map has, nor one that a kernel goes on to from there.
const OUTSIDE = -0x20000000;

@compute @workgroup_size(ROWS * COLUMNS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.x * PIXELS * 4u;
    let first_quad = group.y * QUADS;
    let begin = group.z * sizes.part;
    let end = min(begin + sizes.part, KERNEL * KERNEL * sizes.quads);

    let channels = thread % INPUTS;
    let pixels = thread / INPUTS;
    let area = sizes.out_rows * sizes.out_columns;
    let pixel{I} = first_pixel + pixels * 4u + {I}u; //* I
    let top{I} = select(OUTSIDE, i32(pixel{I} % area / sizes.out_columns * STRIDE) - i32(PADDING), pixel{I} < sizes.pixels); //* I
    let left{I} = i32(pixel{I} % sizes.out_columns * STRIDE) - i32(PADDING); //* I
    let first{I} = (i32(pixel{I} / area * sizes.rows * sizes.columns) + top{I} * i32(sizes.columns) + left{I}) * i32(sizes.quads); //* I

    let column = thread % COLUMNS;
    let row = thread / COLUMNS;
    var s{G}_{I}_{H} = vec4<f32>(); //* G I H

    // One turn more than there are steps: the first sums nothing, the last reads nothing.
    for (var first = begin; first < end + INPUTS; first += INPUTS) {
        let step = first + channels;
        var tap = 0u;
        var quad = step;
        if KERNEL > 1u {
            tap = step / sizes.quads;
            quad = step % sizes.quads;
        }
        let down = select(OUTSIDE, i32(tap / KERNEL * DILATION), step < end);
        let right = i32(tap % KERNEL * DILATION);
        let offset = (down * i32(sizes.columns) + right) * i32(sizes.quads) + i32(quad);
        var x{I} = vec4<f32>(); //* I
        let inside{I} = u32(top{I} + down) < sizes.rows && u32(left{I} + right) < sizes.columns; //* I
        if inside{I} { x{I} = x[first{I} + offset]; } //* I
        let i{W} = thread + {W}u * GROUP; //* W
        let channel{W} = first * 4u + i{W} / QUADS; //* W
        let quad{W} = first_quad + i{W} % QUADS; //* W
        var w{W} = vec4<f32>(); //* W
        if channel{W} < end * 4u && quad{W} < sizes.out_quads { w{W} = weights[channel{W} * sizes.out_quads + quad{W}]; } //* W
        if first > begin {
            for (var i = 0u; i < INPUTS; i++) {
                let line = i * 4u;
                let place{G} = turned(row + {G}u * ROWS, i) + line * PIXELS; //* G
                let a{C}_{G} = a[place{G} + {C}u * PIXELS]; //* C G
                let b{C}_{H} = b[(line + {C}u) * QUADS + column + {H}u * COLUMNS]; //* C H
                s{G}_{I}_{H} += a{C}_{G}[{I}] * b{C}_{H}; //* C G I H
            }
            workgroupBarrier();
        }
        a[(channels * 4u + {C}u) * PIXELS + turned(pixels, channels)] = vec4<f32>(x0[{C}], x1[{C}], x2[{C}], x3[{C}]); //* C
        b[i{W}] = w{W}; //* W
        workgroupBarrier();
    }

    write(group.z, first_pixel + (row + {G}u * ROWS) * 4u + {I}u, first_quad + column + {H}u * COLUMNS, s{G}_{I}_{H}); //* G I H
}

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
