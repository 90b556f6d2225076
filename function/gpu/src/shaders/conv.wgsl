// A workgroup makes a tile of the product, each of its ROWS by COLUMNS threads G * 4 pixels by H quads of it. What the next
// step needs is read from memory while the processor is busy with this one.

// [tap, input channel, output quad], the channels of a quad in a row.
@group(0) @binding(1) var<storage, read> weights: array<Quad>;

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

fn or_zeros(piece: Piece, there: bool) -> Piece {
    return select(Piece(), piece, there);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.y * PIXELS * 4u;
    let first_quad = group.x * QUADS;
    let begin = group.z * sizes.part;
    let end = min(begin + sizes.part, KERNEL * KERNEL * sizes.pieces);

    let channels = thread % INPUTS;
    let pixels = thread / INPUTS;
    let corner{I} = corner_of(first_pixel + pixels * 4u + {I}u); //* I

    let last = last_piece();
    var summand = summand_of(begin + channels);

    let column = thread % COLUMNS;
    let row = thread / COLUMNS;
    var s{G}_{I}_{H} = vec4<f32>(); //* G I H

    // One turn more than there are steps: the first sums nothing, the last reads nothing.
    for (var first = begin; first < end + INPUTS; first += INPUTS) {
        let offset = offset_of(summand);
        summand = later(summand, INPUTS);
        let x{I} = vec4<f32>(value_at(corner{I}, offset, last)); //* I
        let i{W} = thread + {W}u * GROUP; //* W
        let channel{W} = first * 4u + i{W} / QUADS; //* W
        let quad{W} = first_quad + i{W} % QUADS; //* W
        var w{W} = vec4<f32>(); //* W
        if channel{W} < end * 4u && quad{W} < sizes.out_quads { w{W} = vec4<f32>(weights[channel{W} * sizes.out_quads + quad{W}]); } //* W
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
