// Pictures as maps of three channels, padded with zeros to the right and below; a thread for every pixel of a map.

struct Sizes {
    items: u32,
    // Of the pictures and of the maps.
    rows: u32,
    columns: u32,
    out_rows: u32,
    out_columns: u32,
    // What is taken off the samples of a channel, and what they are multiplied by.
    mean_0: f32,
    mean_1: f32,
    mean_2: f32,
    factor_0: f32,
    factor_1: f32,
    factor_2: f32,
}

var<immediate> sizes: Sizes;

// Samples, three bytes to a pixel, or the bits of four floats to a pixel.
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

fn each(index: u32) {
    let out = place(index, sizes.out_rows, sizes.out_columns, 1u);
    var value = vec4<f32>();
    if out.row < sizes.rows && out.column < sizes.columns {
        value = pixel((out.image * sizes.rows + out.row) * sizes.columns + out.column);
    }
    y[index] = Quad(value);
}

fn pixel(index: u32) -> vec4<f32> {
    if SAMPLES == 0u {
        let first = index * 4u;
        return bitcast<vec4<f32>>(vec4<u32>(x[first], x[first + 1u], x[first + 2u], x[first + 3u]));
    }
    let samples = vec3<f32>(sample(index * 3u), sample(index * 3u + 1u), sample(index * 3u + 2u));
    let channels = select(samples, samples.zyx, REVERSED != 0u);
    let mean = vec3<f32>(sizes.mean_0, sizes.mean_1, sizes.mean_2);
    let factors = vec3<f32>(sizes.factor_0, sizes.factor_1, sizes.factor_2);
    return vec4<f32>((channels - mean) * factors, 0.0);
}

fn sample(index: u32) -> f32 {
    return f32(extractBits(x[index / 4u], index % 4u * 8u, 8u));
}
