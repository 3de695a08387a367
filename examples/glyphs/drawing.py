"""Draws the pictures of the glyph data set: 28 line drawings under random distortion.

A glyph is a list of polylines in the square [-1, 1] x [-1, 1], y pointing down. A picture is made by
warping those points (affine map plus a smooth wobble), measuring the distance of each pixel to the
nearest segment, and blending ink over a shaded background. It is all arithmetic on a seeded random
generator, so that the data set needs no file and is the same on every machine.
"""
import struct
import zlib

import numpy as np


def arc(center_x, center_y, radius, start_deg=0, end_deg=360, radius_y=None, points=16):
    """A polyline along an ellipse; angles run clockwise from the right."""
    angle = np.radians(np.linspace(start_deg, end_deg, points))
    vertical = radius if radius_y is None else radius_y
    return np.stack([center_x + radius * np.cos(angle), center_y + vertical * np.sin(angle)], axis=1)


def line(*xy):
    """A polyline through x0, y0, x1, y1, ..."""
    return np.array(xy, np.float64).reshape(-1, 2)


def ring(*xy):
    """A closed polyline through x0, y0, x1, y1, ..."""
    points = line(*xy)
    return np.concatenate([points, points[:1]])


def star(spikes, outer, inner):
    """A closed star whose first spike points up."""
    angle = np.pi * np.arange(2 * spikes + 1) / spikes - np.pi / 2
    radius = np.where(np.arange(2 * spikes + 1) % 2 == 0, outer, inner)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def spokes(count, start, end):
    """Straight strokes that leave the centre at equal angles."""
    angles = 2 * np.pi * np.arange(count) / count
    return [line(start * np.cos(a), start * np.sin(a), end * np.cos(a), end * np.sin(a))
            for a in angles]


def curve(x_of_t, y_of_t, start, end, points=24):
    """A polyline through a parametric curve."""
    t = np.linspace(start, end, points)
    return np.stack([x_of_t(t), y_of_t(t)], axis=1)


GLYPHS = {
    "anchor": [line(0, -.5, 0, .8), arc(0, -.7, .2), line(-.4, -.25, .4, -.25),
               arc(0, .1, .75, 15, 165, .7)],
    "arrow": [line(-.9, 0, .85, 0), line(.3, -.5, .85, 0, .3, .5)],
    "bolt": [ring(.2, -.9, -.55, .15, -.05, .15, -.25, .9, .55, -.2, .05, -.2)],
    "bulb": [arc(0, -.25, .6, 130, 410), line(-.38, .22, -.25, .55, .25, .55, .38, .22),
             line(-.2, .8, .2, .8)],
    "check mark": [line(-.8, .05, -.25, .65, .85, -.65)],
    "circle": [arc(0, 0, .8, points=28)],
    "clock": [arc(0, 0, .85, points=28), line(0, -.55, 0, 0, .4, .2)],
    "cross": [line(-.75, -.75, .75, .75), line(.75, -.75, -.75, .75)],
    "crown": [ring(-.8, .6, -.8, -.5, -.4, .05, 0, -.65, .4, .05, .8, -.5, .8, .6)],
    "cup": [ring(-.75, -.55, .4, -.55, .3, .6, -.65, .6), arc(.4, -.05, .42, -75, 90, .36)],
    "diamond": [ring(-.45, -.6, .45, -.6, .85, -.15, 0, .8, -.85, -.15), line(-.85, -.15, .85, -.15)],
    "envelope": [ring(-.9, -.6, .9, -.6, .9, .6, -.9, .6), line(-.9, -.6, 0, .15, .9, -.6)],
    "eye": [arc(0, .45, 1.0, 207, 333), arc(0, -.45, 1.0, 27, 153), arc(0, 0, .25)],
    "fish": [arc(-.2, 0, .65, 20, 340, .45), line(.4, -.17, .9, .45, .9, -.45, .4, .17)],
    "flag": [line(-.6, .9, -.6, -.85), line(-.6, -.85, .7, -.5, -.6, -.05)],
    "heart": [curve(lambda t: .85 * np.sin(t) ** 3,
                    lambda t: -.05 * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t)
                                      - np.cos(4 * t)), 0, 2 * np.pi)],
    "hourglass": [ring(-.6, -.85, .6, -.85, -.6, .85, .6, .85)],
    "house": [ring(-.65, .8, -.65, -.1, 0, -.8, .65, -.1, .65, .8), line(-.15, .8, -.15, .3, .2, .3, .2, .8)],
    "key": [arc(-.5, 0, .36), line(-.14, 0, .9, 0, .9, .35), line(.55, 0, .55, .3)],
    "moon": [arc(0, 0, .8, 50, 310), arc(.45, 0, .62, 80, 280)],
    "note": [arc(-.35, .6, .28, radius_y=.22), line(-.07, .6, -.07, -.8, .55, -.45, .5, 0)],
    "spiral": [curve(lambda t: .045 * t * np.cos(t), lambda t: .045 * t * np.sin(t), 0, 6 * np.pi, 40)],
    "star": [star(5, .95, .4)],
    "sun": [arc(0, 0, .4), *spokes(8, .6, .95)],
    "tree": [ring(0, -.9, .65, .4, -.65, .4), line(0, .4, 0, .9)],
    "triangle": [ring(0, -.75, .8, .65, -.8, .65)],
    "umbrella": [arc(0, 0, .85, 180, 360), line(-.85, 0, .85, 0), line(0, -.85, 0, .65),
                 arc(-.2, .65, .2, 0, 160)],
    "wheel": [arc(0, 0, .85, points=28), *spokes(6, 0, .85)],
}
LABELS = list(GLYPHS)


def warp(polylines, rng):
    """Distorts a glyph: scale, rotation, shear, shift, and a smooth wobble of every point."""
    angle, shear = rng.uniform(-.45, .45), rng.uniform(-.3, .3)
    scale_x, scale_y = rng.uniform(.55, .9) * rng.uniform(.85, 1.15, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[scale_x, shear * scale_x], [0, scale_y]])
    shift = rng.uniform(-.15, .15, 2)
    phase, frequency = rng.uniform(0, 2 * np.pi, 2), rng.uniform(1.5, 4, 2)
    wobble = rng.uniform(0, .08)
    return [p @ matrix.T + shift + wobble * np.sin(p[:, ::-1] * frequency + phase) for p in polylines]


def distance_to_strokes(polylines, size):
    """Distance of each pixel centre to the nearest stroke, in the units of the square; [size, size]."""
    starts = np.concatenate([p[:-1] for p in polylines])
    steps = np.concatenate([p[1:] for p in polylines]) - starts
    centres = (np.arange(size) + .5) * 2 / size - 1
    offset_x = centres[None, :, None] - starts[:, 0]
    offset_y = centres[:, None, None] - starts[:, 1]
    length_squared = np.maximum((steps ** 2).sum(axis=1), 1e-12)
    along = np.clip((offset_x * steps[:, 0] + offset_y * steps[:, 1]) / length_squared, 0, 1)
    gap_x, gap_y = offset_x - along * steps[:, 0], offset_y - along * steps[:, 1]
    return np.sqrt((gap_x ** 2 + gap_y ** 2).min(axis=2))


def shade(size, rng):
    """A background: one colour with a linear gradient across it; [size, size, 3] in 0..1."""
    across = (np.arange(size) + .5) / size - .5
    direction = rng.uniform(-.4, .4, 2)
    ramp = across[:, None] * direction[0] + across[None, :] * direction[1]
    return rng.uniform(.1, .9, 3) + ramp[:, :, None]


def render(label_index, rng, size=32):
    """One picture of class `label_index`; uint8 [size, size, 3], RGB.

    A stray line crosses about a third of the pictures, and all carry pixel noise.
    """
    background = shade(size, rng)
    ink = rng.uniform(0, 1, 3)
    while np.abs(ink - background.mean(axis=(0, 1))).mean() < .3:
        ink = rng.uniform(0, 1, 3)
    strokes = warp(GLYPHS[LABELS[label_index]], rng)
    if rng.uniform() < .33:
        strokes.append(rng.uniform(-1, 1, (2, 2)))
    half_width = rng.uniform(.04, .1)
    pixel = 2 / size
    coverage = np.clip((half_width - distance_to_strokes(strokes, size)) / pixel + .5, 0, 1)
    picture = background + coverage[:, :, None] * (ink - background)
    picture += rng.normal(0, rng.uniform(0, .08), picture.shape)
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def render_set(count, seed, size=32):
    """`count` pictures with the classes in turn; uint8 [count, size, size, 3] and int [count]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(LABELS)
    return np.stack([render(label, rng, size) for label in labels]), labels


def write_png(path, picture):
    """Writes uint8 [height, width, 3] as an RGB PNG file."""
    def chunk(kind, payload):
        return (struct.pack(">I", len(payload)) + kind + payload
                + struct.pack(">I", zlib.crc32(kind + payload)))
    height, width, _ = picture.shape
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))
