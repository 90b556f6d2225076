// As conv.wgsl, by the units for products of small matrices that some GPUs have: factors have 16 bits, sums 32. Each
// subgroup of a workgroup, ROWS by COLUMNS, makes M by N matrices of 16 pixels by 16 channels.

// [tap, input channel, two quads of output channels], the channels of a quad in a row.
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;

// Threads of a subgroup.
const LANES = 32u;
const GROUP = ROWS * COLUMNS * LANES;
// Pixels, and pairs of quads of channels, of a tile.
const PIXELS = ROWS * M * 16u;
const PAIRS = COLUMNS * N * 2u;
// Pieces of the input of a step, of a side of a matrix, and channels of a step.
const PIECES = INPUTS / WIDE;
const SIDE = 4u / WIDE;
const DEPTH = INPUTS * 4u;
// Lines are longer than what is in them, so that those below each other lie in different banks.
const LINE_A = PIECES + 2u / WIDE;
const LINE_B = PAIRS + 1u;
const SIZE_A = PIXELS * LINE_A;
const SIZE_B = DEPTH * LINE_B;

// What a step multiplies, while that of the next is written behind it: [step, pixel, piece of the input] and [step, input
// channel, pair of quads]. And a matrix of sums for every subgroup.
var<workgroup> a: array<Piece, 2u * SIZE_A>;
var<workgroup> b: array<vec4<u32>, 2u * SIZE_B>;
var<workgroup> sums: array<vec4<f32>, ROWS * COLUMNS * 64u>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.x * PIXELS;
    let first_pair = group.y * PAIRS;
    let pairs = (sizes.out_quads + 1u) / 2u;
    let begin = group.z * sizes.part;
    let end = min(begin + sizes.part, KERNEL * KERNEL * sizes.pieces);
    let depth = end * WIDE * 4u;

    let piece = thread % PIECES;
    let at{U} = thread / PIECES + {U}u * (GROUP / PIECES); //* U
    let corner{U} = corner_of(first_pixel + at{U}); //* U
    var summand = summand_of(begin + piece);
    let line{W} = (thread + {W}u * GROUP) / PAIRS; //* W
    let pair{W} = (thread + {W}u * GROUP) % PAIRS; //* W

    let subgroup = thread / LANES;
    let lane = thread % LANES;
    let row = subgroup / COLUMNS * M;
    let column = subgroup % COLUMNS * N;
    var s{M}_{N} = coop_mat16x16<f32, C>(); //* M N
    var turn = 0u;

    // One turn more than there are steps: the first sums nothing, the last reads nothing.
    for (var first = begin; first < end + PIECES; first += PIECES) {
        let offset = offset_of(summand, first + piece < end);
        summand = later(summand, PIECES);
        let x{U} = value_at(corner{U}, offset); //* U
        let channel{W} = first * WIDE * 4u + line{W}; //* W
        var w{W} = vec4<u32>(); //* W
        if channel{W} < depth && first_pair + pair{W} < pairs { w{W} = weights[channel{W} * pairs + first_pair + pair{W}]; } //* W
        for (var k = select(0u, PIECES, first == begin); k < PIECES; k += SIDE) {
            let a{M} = coopLoadT<coop_mat16x16<f16, A>>(&a[turn * SIZE_A + (row + {M}u) * 16u * LINE_A + k], LINE_A); //* M
            let b{N} = coopLoadT<coop_mat16x16<f16, B>>(&b[turn * SIZE_B + k * WIDE * 4u * LINE_B + (column + {N}u) * 2u], LINE_B); //* N
            s{M}_{N} = coopMultiplyAdd(a{M}, b{N}, s{M}_{N}); //* M N
        }
        turn = 1u - turn;
        a[turn * SIZE_A + at{U} * LINE_A + piece] = x{U}; //* U
        b[turn * SIZE_B + line{W} * LINE_B + pair{W}] = w{W}; //* W
        workgroupBarrier();
    }

    coopStoreT(s{M}_{N}, &sums[subgroup * 64u], 4u); workgroupBarrier(); write_matrix(group.z, first_pixel + (row + {M}u) * 16u, first_pair * 2u + (column + {N}u) * 4u, subgroup, lane); workgroupBarrier(); //* M N
}

// The matrix of sums whose first place is this.
fn write_matrix(part: u32, first_pixel: u32, first_quad: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < 64u; i += LANES) {
        write(part, first_pixel + i / 4u, first_quad + i % 4u, sums[subgroup * 64u + i]);
    }
}
