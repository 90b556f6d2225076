//! Points, colours and the few functions that the platform's libm would answer differently from machine to
//! machine. Here are only additions, multiplications, divisions and square roots, which IEEE 754 rounds
//! everywhere in the same way.

/// A point of a surface or of the picture, `x` to the right and `y` down.
pub(crate) type Point = [f32; 2];
/// A point or direction of the room: `x` to the right, `y` down, `z` from the main surface to the viewer.
pub(crate) type Vector = [f32; 3];
/// Red, green and blue in linear light, 0 to 1 for what a surface reflects.
pub(crate) type Colour = [f32; 3];

pub(crate) const TAU: f32 = std::f32::consts::TAU;

pub(crate) fn grey(level: f32) -> Colour {
    [level * level; 3]
}

/// Hue in turns (0 red, 1/3 green), saturation and value as in the hexcone model, of encoded samples.
pub(crate) fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    let channel = |offset: f32| {
        let t = fract(hue + offset) * 6.0;
        let ramp = ((t - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        let sample = value * (1.0 - saturation * (1.0 - ramp));
        sample * sample
    };
    [channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0)]
}

pub(crate) fn mix(from: Colour, to: Colour, t: f32) -> Colour {
    [
        from[0] + (to[0] - from[0]) * t,
        from[1] + (to[1] - from[1]) * t,
        from[2] + (to[2] - from[2]) * t,
    ]
}

pub(crate) fn scale(colour: Colour, factor: f32) -> Colour {
    [colour[0] * factor, colour[1] * factor, colour[2] * factor]
}

pub(crate) fn times(a: Colour, b: Colour) -> Colour {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

pub(crate) fn lerp(from: f32, to: f32, t: f32) -> f32 {
    from + (to - from) * t
}

/// 0 to 1 without corners.
pub(crate) fn smooth(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The whole number below, without the call that older processors need. What is near a horizon is as far away as one
/// likes: that ends before sums and products of such numbers do not fit.
#[inline]
pub(crate) fn floor(x: f32) -> i32 {
    let x = x.clamp(-4e7, 4e7);
    let whole = x as i32;
    whole - i32::from(whole as f32 > x)
}

pub(crate) fn fract(x: f32) -> f32 {
    x - floor(x) as f32
}

/// Up and down between 0 and 1 with the period 1.
pub(crate) fn triangle(x: f32) -> f32 {
    (fract(x) * 2.0 - 1.0).abs()
}

pub(crate) fn sin(x: f32) -> f32 {
    let turns = x / TAU;
    let mut t = turns - floor(turns + 0.5) as f32;
    if t > 0.25 {
        t = 0.5 - t;
    } else if t < -0.25 {
        t = -0.5 - t;
    }
    let x = t * TAU;
    let x2 = x * x;
    x * (1.0 - x2 / 6.0 * (1.0 - x2 / 20.0 * (1.0 - x2 / 42.0 * (1.0 - x2 / 72.0))))
}

pub(crate) fn cos(x: f32) -> f32 {
    sin(x + TAU / 4.0)
}

/// The direction of an angle, clockwise from the right.
pub(crate) fn polar(angle: f32) -> Point {
    [cos(angle), sin(angle)]
}

/// The angle of a direction in turns, 0 to 1, clockwise from the right. Right to a thousandth.
pub(crate) fn turns([x, y]: Point) -> f32 {
    let (a, b) = (x.abs(), y.abs());
    let (low, high) = (a.min(b), a.max(b).max(1e-20));
    let t = low / high;
    let eighth = t * (0.972_394 - 0.191_948 * t * t) / TAU;
    let quarter = if b > a { 0.25 - eighth } else { eighth };
    let half = if x < 0.0 { 0.5 - quarter } else { quarter };
    if y < 0.0 { 1.0 - half } else { half }
}

pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-80.0, 80.0);
    let twos = x * std::f32::consts::LOG2_E;
    let whole = floor(twos + 0.5);
    let t = (twos - whole as f32) * std::f32::consts::LN_2;
    let rest = 1.0 + t * (1.0 + t / 2.0 * (1.0 + t / 3.0 * (1.0 + t / 4.0 * (1.0 + t / 5.0))));
    rest * f32::from_bits(((whole + 127) as u32) << 23)
}

/// The natural logarithm of a positive number.
pub(crate) fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let series = 2.0 * t * (1.0 + t2 * (1.0 / 3.0 + t2 * (0.2 + t2 * (1.0 / 7.0 + t2 / 9.0))));
    series + exponent as f32 * std::f32::consts::LN_2
}

pub(crate) fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

pub(crate) fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

pub(crate) fn length(a: Point) -> f32 {
    dot(a, a).sqrt()
}

/// Turned clockwise.
pub(crate) fn turned([x, y]: Point, angle: f32) -> Point {
    let [c, s] = polar(angle);
    [x * c - y * s, x * s + y * c]
}

pub(crate) fn dot3(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(crate) fn unit3(a: Vector) -> Vector {
    let length = dot3(a, a).sqrt().max(1e-12);
    scale(a, 1.0 / length)
}

/// `a + b * t`.
pub(crate) fn along(a: Vector, b: Vector, t: f32) -> Vector {
    [a[0] + b[0] * t, a[1] + b[1] * t, a[2] + b[2] * t]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_near_the_platforms() {
        for step in -400..400 {
            let x = step as f32 * 0.037;
            assert!((sin(x) - x.sin()).abs() < 2e-5, "sin {x}");
            assert!((cos(x) - x.cos()).abs() < 2e-5, "cos {x}");
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-4, "exp {x}");
            let positive = (step as f32 + 401.0) * 0.05;
            assert!((ln(positive) - positive.ln()).abs() < 1e-4, "ln {positive}");
            let turn = fract(turns([x.cos(), x.sin()]) - x / TAU + 0.5) - 0.5;
            assert!(turn.abs() < 2e-3, "turns {x}");
            assert_eq!(floor(x), x.floor() as i32);
        }
    }

    #[test]
    fn hues_are_in_order() {
        assert_eq!(hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
        let [red, green, blue] = hsv(1.0 / 3.0, 1.0, 1.0);
        assert!(red < 0.01 && green > 0.99 && blue < 0.01);
    }
}
