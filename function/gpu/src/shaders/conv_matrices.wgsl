// As conv.wgsl, by the units for products of small matrices that some GPUs have: factors have 16 bits, sums 32. Each
// subgroup of a workgroup, ROWS by COLUMNS, makes M by N matrices of 16 pixels by 16 channels.

// [tap, input channel, two quads of output channels], the channels of a quad in a row, and behind the last input channel
// one of zeros.
@group(0) @binding(1) var<storage, read> weights: array<array<Quad, 2>>;

// Threads of a subgroup.
const LANES = 32u;
const GROUP = ROWS * COLUMNS * LANES;
// Pixels, and pairs of quads of channels, of a tile.
const PIXELS = ROWS * M * 16u;
const PAIRS = COLUMNS * N * 2u;
// Pieces of the input of a step, and channels.
const PIECES = INPUTS / WIDE;
const DEPTH = INPUTS * 4u;
// Lines are longer than what is in them, so that those below each other lie in different banks.
const LINE_A = INPUTS + 2u;
const LINE_B = PAIRS * 2u + 2u;

// What a step multiplies: [pixel, quad of the input] and [input channel, quad]. And a matrix of sums for every subgroup.
var<workgroup> a: array<Quad, PIXELS * LINE_A>;
var<workgroup> b: array<Quad, DEPTH * LINE_B>;
var<workgroup> sums: array<vec4<f32>, ROWS * COLUMNS * 64u>;

fn or_zeros(piece: Piece, there: bool) -> Piece {
    var kept = piece;
    kept[{WIDE}] = select(Quad(), kept[{WIDE}], there); //* WIDE
    return kept;
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.y * PIXELS;
    let first_pair = group.x * PAIRS;
    let pairs = (sizes.out_quads + 1u) / 2u;
    let begin = group.z * sizes.part;
    let end = min(begin + sizes.part, KERNEL * KERNEL * sizes.pieces);
    // Behind which there is a line of zeros.
    let depth = KERNEL * KERNEL * sizes.pieces * WIDE * 4u;

    let piece = thread % PIECES;
    let at{U} = thread / PIECES + {U}u * (GROUP / PIECES); //* U
    let corner{U} = corner_of(first_pixel + at{U}); //* U
    let last = last_piece();
    var summand = summand_of(begin + piece);
    let line{W} = (thread + {W}u * GROUP) / PAIRS; //* W
    let quad{W} = (thread + {W}u * GROUP) % PAIRS * 2u; //* W
    let pair{W} = min(first_pair + quad{W} / 2u, pairs - 1u); //* W

    let subgroup = thread / LANES;
    let lane = thread % LANES;
    let row = subgroup / COLUMNS * M;
    let column = subgroup % COLUMNS * N;
    var s{M}_{N} = coop_mat16x16<f32, C>(); //* M N

    // What the next step needs is read from memory while this one is summed.
    var offset = offset_of(summand);
    var x{U} = value_at(corner{U}, offset, last); //* U
    var w{W} = weights[min(begin * WIDE * 4u + line{W}, depth) * pairs + pair{W}]; //* W
    for (var first = begin; first < end; first += PIECES) {
        workgroupBarrier();
        a[at{U} * LINE_A + piece * WIDE + {WIDE}u] = x{U}[{WIDE}]; //* U WIDE
        b[line{W} * LINE_B + quad{W}] = w{W}[0]; //* W
        b[line{W} * LINE_B + quad{W} + 1u] = w{W}[1]; //* W
        workgroupBarrier();
        summand = later(summand, PIECES);
        offset = offset_of(summand);
        x{U} = value_at(corner{U}, offset, last); //* U
        w{W} = weights[min((first + PIECES) * WIDE * 4u + line{W}, depth) * pairs + pair{W}]; //* W
        for (var k = 0u; k < INPUTS; k += 4u) {
            let a{M} = coopLoadT<coop_mat16x16<f16, A>>(&a[(row + {M}u) * 16u * LINE_A + k], LINE_A); //* M
            let b{N} = coopLoadT<coop_mat16x16<f16, B>>(&b[k * 4u * LINE_B + (column + {N}u) * 4u], LINE_B); //* N
            s{M}_{N} = coopMultiplyAdd(a{M}, b{N}, s{M}_{N}); //* M N
        }
    }

    coopStoreT(s{M}_{N}, &sums[subgroup * 64u], 4u); workgroupBarrier(); write_matrix(group.z, first_pixel + (row + {M}u) * 16u, first_pair * 2u + (column + {N}u) * 4u, subgroup, lane); workgroupBarrier(); //* M N
}

// The matrix of sums whose first place is this.
fn write_matrix(part: u32, first_pixel: u32, first_quad: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < 64u; i += LANES) {
        write(part, first_pixel + i / 4u, first_quad + i % 4u, sums[subgroup * 64u + i]);
    }
}
