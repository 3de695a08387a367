"""ImageDecoder: a picture of 6 x 4 pixels in each format.

The lossless files hold PIXELS; what libjpeg's own decoder makes of the JPEG file is written out. Files of
JPEG, JPEG 2000, TIFF (LZW) and WebP were made by their reference libraries, the others are made here.
"""

import base64
import struct
import zlib

import numpy as np

from case import Collection

CASES = Collection("pictures")

x, y = np.meshgrid(np.arange(6), np.arange(4))
PIXELS = np.stack([x * 40, y * 70, (x * y * 13 + 7) % 256], -1).astype(np.uint8)

JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQ"
    "ERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
    "FBQUFBQUFBQUFBQUFBT/wAARCAAEAAYDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAA"
    "AgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6"
    "Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXG"
    "x8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREA"
    "AgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5"
    "OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPE"
    "xcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDo/gl+yz8O7rRyZNHydg7j/CiiivkssjGr"
    "hITqK7a3erO7hXN8xWT4dLEz2/nl/mf/2Q==")
JPEG_PIXELS = np.array([
    0, 7, 0, 25, 13, 0, 61, 13, 1, 96, 10, 11, 137, 13, 24, 159, 17, 33,
    16, 62, 0, 43, 70, 15, 80, 70, 35, 116, 68, 48, 158, 70, 66, 181, 75, 77,
    11, 135, 13, 40, 143, 34, 79, 144, 60, 117, 143, 82, 160, 146, 109, 185, 151, 126,
    26, 189, 38, 56, 198, 62, 96, 199, 90, 136, 199, 118, 180, 203, 151, 206, 208, 169,
], np.uint8).reshape(4, 6, 3)
JPEG_2000 = base64.b64decode(
    "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAABAAAAAYAAwcHAAAAAAAPY29scgEA"
    "AAAAABAAAADganAyY/9P/1EALwAAAAAABgAAAAQAAAAAAAAAAAAAAAYAAAAEAAAAAAAAAAAAAwcBAQcBAQcBAf9SAAwAAAAB"
    "AQEEBAAB/1wAB0BASEhQ/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAAZQAB/5PPtCAG"
    "gprMNj0df9+AOAw0luyZc6jfgEgMG5GMqIom5H/B84SH1AsAdDAT73jfCzoTmc0T0t/B84OPtBYD5AQUAx8MNJeHrRPuw+oD"
    "j7QUEUJ7DBbRS/f/2Q==")
TIFF = base64.b64decode(
    "SUkqAFQAAACAAAAAcUQMoQM8QNQQNkQMAEaCEYKFAjCE8EYXKAjDtkEYkABGQRGCEoIwdnhGFVQIw3shGIkANKCNIXFBpFU8"
    "NI+KBpKNkNJlQEAACgAAAQMAAQAAAAYAAAABAQMAAQAAAAQAAAACAQMAAwAAANIAAAADAQMAAQAAAAUAAAAGAQMAAQAAAAIA"
    "AAARAQQAAQAAAAgAAAAVAQMAAQAAAAMAAAAWAQMAAQAAAAQAAAAXAQQAAQAAAEsAAAAcAQMAAQAAAAEAAAAAAAAACAAIAAgA")
WEBP = base64.b64decode(
    "UklGRjIAAABXRUJQVlA4TCYAAAAvBcAAAJkyRPQ/NhHR/4BCthGg0c3f6R6GQRESpJhmMiYAUQrODw==")


def png(pixels):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


def bmp(pixels):
    height, width, _ = pixels.shape
    rows = b"".join(row[:, ::-1].tobytes() + bytes(-width * 3 % 4) for row in pixels[::-1])
    return (b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) +
            struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows)


def pnm(pixels):
    kind = b"P6" if pixels.shape[2] == 3 else b"P5"
    return kind + b"\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def gray(pixels):
    parts = pixels.astype(np.uint32) * np.array([19595, 38470, 7471], np.uint32)
    return ((parts.sum(-1, keepdims=True) + 0x8000) >> 16).astype(np.uint8)


def add(name, file, expected, pixel_format="RGB"):
    CASES.add(name, "ImageDecoder", [np.frombuffer(file, np.uint8)], {"pixel_format": pixel_format},
              opset=20, expected=[np.ascontiguousarray(expected)])


for name, file in {"bmp": bmp(PIXELS), "jpeg_2000": JPEG_2000, "png": png(PIXELS), "pnm": pnm(PIXELS),
                   "tiff": TIFF, "webp": WEBP}.items():
    add(f"picture_{name}", file, PIXELS)
add("picture_pnm_16", b"P6 # 16 bits\n6 4 65535\n" + (PIXELS.astype(">u2") * 257).tobytes(), PIXELS)
add("picture_pnm_gray", b"P5\n6 4\n15\n" + (gray(PIXELS) // 17).tobytes(),
    np.repeat(gray(PIXELS) // 17 * 17, 3, -1))
add("picture_jpeg", JPEG, JPEG_PIXELS)
add("picture_jpeg_bgr", JPEG, JPEG_PIXELS[:, :, ::-1], "BGR")
add("picture_jpeg_gray", JPEG, gray(JPEG_PIXELS), "Grayscale")
add("picture_gray_png", png(gray(PIXELS)), np.repeat(gray(PIXELS), 3, -1))
# What cannot be decoded gives no pixels, and is no error.
for name, file in {"jpeg": JPEG[:100], "jpeg_2000": JPEG_2000[:120], "png": png(PIXELS)[:50], "pnm": pnm(PIXELS)[:80], "tiff": TIFF[:60],
                   "webp": WEBP[:30], "nothing": b"", "text": b"no picture"}.items():
    add(f"picture_damaged_{name}", file, np.zeros((0, 0, 3), np.uint8))
