// A convolution as a product of two matrices: rows are pixels of the output, columns its channels, and what is summed
// over are the channels of the input under every tap of the kernel. The first matrix is never made; its parts are read
// from the map as they are needed.
//
// A workgroup makes a tile of SIDE pixels by SIDE channels, its 8 by 8 threads G * 4 pixels by G quads each. G is 1 or 2:
// large tiles read less, small ones leave fewer threads idle.

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
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
// [tap, input channel, output quad], the channels of a quad in a row.
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
// The bias again where there is none.
@group(0) @binding(3) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

// Quads of pixels, and of channels, along the side of a tile.
const SIDE = 8u * G;
// Input channels of a step.
const DEPTH = 16u;

// [input channel, four pixels] and [input channel, four output channels].
var<workgroup> a: array<vec4<f32>, DEPTH * SIDE>;
var<workgroup> b: array<vec4<f32>, DEPTH * SIDE>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.x * SIDE * 4u;
    let first_quad = group.y * SIDE;
    let steps = KERNEL * KERNEL * sizes.quads;

    // What this thread reads of the map: one quad of channels of four pixels, in each step.
    let channels = thread % 4u;
    let pixels = thread / 4u;
    let reads = pixels < SIDE;
    let area = sizes.out_rows * sizes.out_columns;
    let pixel{I} = first_pixel + pixels * 4u + {I}u; //* I
    let image{I} = pixel{I} / area * sizes.rows * sizes.columns; //* I
    let top{I} = i32(pixel{I} % area / sizes.out_columns * STRIDE) - i32(PADDING); //* I
    let left{I} = i32(pixel{I} % sizes.out_columns * STRIDE) - i32(PADDING); //* I

    let column = thread % 8u;
    let row = thread / 8u;
    var s{G}_{I}_{H} = vec4<f32>(); //* G I H

    for (var first = 0u; first < steps; first += 4u) {
        if reads {
            let step = first + channels;
            let tap = step / sizes.quads;
            let quad = step % sizes.quads;
            let down = i32(tap / KERNEL * DILATION);
            let right = i32(tap % KERNEL * DILATION);
            var x{I} = vec4<f32>(); //* I
            let inside{I} = step < steps && pixel{I} < sizes.pixels && u32(top{I} + down) < sizes.rows && u32(left{I} + right) < sizes.columns; //* I
            if inside{I} { x{I} = x[(image{I} + u32(top{I} + down) * sizes.columns + u32(left{I} + right)) * sizes.quads + quad]; } //* I
            a[(channels * 4u + {C}u) * SIDE + pixels] = vec4<f32>(x0[{C}], x1[{C}], x2[{C}], x3[{C}]); //* C
        }
        for (var i = thread; i < DEPTH * SIDE; i += THREADS) {
            let channel = first * 4u + i / SIDE;
            let quad = first_quad + i % SIDE;
            var weight = vec4<f32>();
            if channel < steps * 4u && quad < sizes.out_quads {
                weight = weights[channel * sizes.out_quads + quad];
            }
            b[i] = weight;
        }
        workgroupBarrier();
        for (var i = 0u; i < DEPTH; i++) {
            let a{G} = a[i * SIDE + row + {G}u * 8u]; //* G
            let b{H} = b[i * SIDE + column + {H}u * 8u]; //* H
            s{G}_{I}_{H} += a{G}[{I}] * b{H}; //* G I H
        }
        workgroupBarrier();
    }

    finish(first_pixel + (row + {G}u * 8u) * 4u + {I}u, first_quad + column + {H}u * 8u, s{G}_{I}_{H}); //* G I H
}

fn finish(pixel: u32, quad: u32, sum: vec4<f32>) {
    if pixel >= sizes.pixels || quad >= sizes.out_quads {
        return;
    }
    var value = sum + bias[quad];
    if RESIDUAL != 0u {
        value += residual[pixel * sizes.out_quads + quad];
    }
    var place = pixel * sizes.out_quads + quad;
    if DOUBLED != 0u {
        // The quads of four pixels of the output, one behind the other.
        let quads = sizes.out_quads / 4u;
        let part = quad / quads;
        let line = pixel / sizes.out_columns * 2u + part / 2u;
        let at = line * sizes.out_columns * 2u + pixel % sizes.out_columns * 2u + part % 2u;
        place = at * quads + quad % quads;
    }
    y[place] = activate(value);
}
