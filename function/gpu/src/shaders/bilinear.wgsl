// What the kernels share that read a map between its pixels. It is `x`, of `sizes.rows` by `sizes.columns` pixels.

// The four pixels around a place, and how far it is from the first along columns and rows.
struct Around {
    places: vec4<u32>,
    weights: vec2<f32>,
}

// Of a place, x and y in pixels from the middle of the first one, on the map whose first pixel is this; beside the map as
// at its edge.
fn around(first: u32, place: vec2<f32>) -> Around {
    let last = vec2<u32>(sizes.columns, sizes.rows) - 1u;
    let inside = clamp(place, vec2<f32>(), vec2<f32>(last));
    let low = vec2<u32>(inside);
    let high = min(low + 1u, last);
    let above = first + low.y * sizes.columns;
    let below = first + high.y * sizes.columns;
    let pixels = vec4<u32>(above + low.x, above + high.x, below + low.x, below + high.x);
    return Around(pixels * sizes.quads, inside - vec2<f32>(low));
}

// What a quad of channels has there.
fn between(around: Around, quad: u32) -> vec4<f32> {
    let places = around.places + quad;
    let upper = mix(vec4<f32>(x[places.x]), vec4<f32>(x[places.y]), around.weights.x);
    let lower = mix(vec4<f32>(x[places.z]), vec4<f32>(x[places.w]), around.weights.x);
    return mix(upper, lower, around.weights.y);
}
