// As conv.wgsl, by the units for products of small matrices that some GPUs have: factors are rounded to 16 bits, which
// can hold what is in maps then, sums have 32. Each subgroup of a workgroup, ROWS by COLUMNS, makes M by N matrices of 16
// pixels by 16 channels.

// [tap, input channel, output quad], the channels of a quad in a row.
@group(0) @binding(1) var<storage, read> weights: array<vec4<f16>>;

// Threads of a subgroup.
const LANES = 32u;
const GROUP = ROWS * COLUMNS * LANES;
// Pixels, and quads of channels, of a tile.
const PIXELS = ROWS * M * 16u;
const QUADS = COLUMNS * N * 4u;
// Quads of the input of a step.
const INPUTS = 8u;
// Lines are longer than what is in them, so that those below each other lie in different banks.
const LINE_A = INPUTS + 2u;
const LINE_B = QUADS + 2u;

// [pixel, quad of the input], [input channel, quad], and a matrix of sums for every subgroup.
var<workgroup> a: array<vec4<f16>, PIXELS * LINE_A>;
var<workgroup> b: array<vec4<f16>, INPUTS * 4u * LINE_B>;
var<workgroup> sums: array<vec4<f32>, ROWS * COLUMNS * 64u>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.x * PIXELS;
    let first_quad = group.y * QUADS;
    let begin = group.z * sizes.part;
    let end = min(begin + sizes.part, KERNEL * KERNEL * sizes.quads);

    let channels = thread % INPUTS;
    let at{U} = thread / INPUTS + {U}u * (GROUP / INPUTS); //* U
    let corner{U} = corner_of(first_pixel + at{U}); //* U

    let subgroup = thread / LANES;
    let lane = thread % LANES;
    let row = subgroup / COLUMNS;
    let column = subgroup % COLUMNS;
    var s{M}_{N} = coop_mat16x16<f32, C>(); //* M N

    // One turn more than there are steps: the first sums nothing, the last reads nothing.
    for (var first = begin; first < end + INPUTS; first += INPUTS) {
        let tap = tap_of(first + channels, end);
        let x{U} = value_at(corner{U}, tap); //* U
        let line{W} = (thread + {W}u * GROUP) / QUADS; //* W
        let i{W} = (thread + {W}u * GROUP) % QUADS; //* W
        let channel{W} = first * 4u + line{W}; //* W
        var w{W} = vec4<f16>(); //* W
        if channel{W} < end * 4u && first_quad + i{W} < sizes.out_quads { w{W} = weights[channel{W} * sizes.out_quads + first_quad + i{W}]; } //* W
        for (var k = select(0u, INPUTS, first == begin); k < INPUTS; k += 4u) {
            let a{M} = coopLoadT<coop_mat16x16<f16, A>>(&a[(row * M + {M}u) * 16u * LINE_A + k], LINE_A); //* M
            let b{N} = coopLoadT<coop_mat16x16<f16, B>>(&b[k * 4u * LINE_B + (column * N + {N}u) * 4u], LINE_B); //* N
            s{M}_{N} = coopMultiplyAdd(a{M}, b{N}, s{M}_{N}); //* M N
        }
        workgroupBarrier();
        a[at{U} * LINE_A + channels] = vec4<f16>(x{U}); //* U
        b[line{W} * LINE_B + i{W}] = w{W}; //* W
        workgroupBarrier();
    }

    coopStoreT(s{M}_{N}, &sums[subgroup * 64u], 4u); workgroupBarrier(); write_matrix(group.z, first_pixel + (row * M + {M}u) * 16u, first_quad + (column * N + {N}u) * 4u, subgroup, lane); workgroupBarrier(); //* M N
}

// The matrix of sums whose first place is this.
fn write_matrix(part: u32, first_pixel: u32, first_quad: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < 64u; i += LANES) {
        write(part, first_pixel + i / 4u, first_quad + i % 4u, sums[subgroup * 64u + i]);
    }
}
