// What follows the sums of a convolution: its bias, a residual, its activation, and its place in memory.

fn finish(pixel: u32, quad: u32, sum: vec4<f32>) {
    var value = sum + bias[quad];
    if RESIDUAL != 0u {
        value += vec4<f32>(residual[pixel * sizes.out_quads + quad]);
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
    y[place] = Out(activate(value));
}
