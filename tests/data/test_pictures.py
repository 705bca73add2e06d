"""Pictures of a folder: upright, one colour mode, 16 bits scaled, damage named."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from alad_tf.data.dialect import ReadOptions
from alad_tf.data.user_files import count_rows, read_all

GENERATOR = np.random.default_rng(0)


def gray(height=12, width=16):
    return GENERATOR.integers(0, 256, (height, width), dtype="uint8")


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_by_the_depth_in_use(tmp_path, bits, suffix):
    ramp = np.linspace(0, 2**bits - 1, 32 * 32).reshape(32, 32).astype("uint16")
    Image.fromarray(ramp).save(tmp_path / f"a{suffix}")
    Image.fromarray(ramp // 2).save(tmp_path / f"b{suffix}")
    noted = []
    _, images = read_all(tmp_path, note=noted.append)
    expected = np.round(ramp.astype(float) * 255 / (2**bits - 1))
    np.testing.assert_array_equal(images[0, :, :, 0], expected)
    assert abs(int(images[1].max()) - 127) <= 1  # one scale for all
    assert f"2 scaled from {bits} bits to 8" in noted[-1]


def test_the_depth_of_the_fit_holds_afterwards(tmp_path):
    Image.fromarray(np.full((4, 4), 1000, "uint16")).save(tmp_path / "a.png")
    assert read_all(tmp_path)[1].max() == round(1000 * 255 / 1023)
    assert read_all(tmp_path, channels=1, depth=12)[1].max() == round(1000 * 255 / 4095)
    noted = []
    Image.fromarray(np.full((4, 4), 5000, "uint16")).save(tmp_path / "a.png")
    assert read_all(tmp_path, channels=1, depth=12, note=noted.append)[1].max() == 255
    assert "1 clipped to 12 bits" in noted[-1]


UPRIGHT = {
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_photos_are_turned_upright(tmp_path, orientation, suffix):
    exif, stored = Image.Exif(), gray()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, lossless=True)
    image = read_all(tmp_path)[1][0, :, :, 0]
    expected = UPRIGHT[orientation](stored).astype(int)
    assert image.shape == expected.shape and np.abs(image - expected).max() <= 1


def test_one_colour_rule_for_a_folder(tmp_path):
    colour = GENERATOR.integers(0, 256, (12, 16, 3), dtype="uint8")
    plain = gray()
    Image.fromarray(plain).save(tmp_path / "a_gray.png")
    assert read_all(tmp_path)[1].shape == (1, 12, 16, 1)
    Image.fromarray(colour).save(tmp_path / "b_rgb.png")
    alpha = np.dstack([colour, np.full((12, 16), 255, "uint8")])
    Image.fromarray(alpha).save(tmp_path / "c_opaque.png")
    alpha[:6, :, 3] = 0
    Image.fromarray(alpha).save(tmp_path / "d_transparent.png")
    few = Image.fromarray(colour).quantize(16)
    few.save(tmp_path / "e_palette.png")
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "f_cmyk.tif")
    noted = []
    _, images = read_all(tmp_path, note=noted.append)
    assert images.shape == (6, 12, 16, 3)
    np.testing.assert_array_equal(images[0], np.dstack([plain] * 3))
    np.testing.assert_array_equal(images[1], colour)
    np.testing.assert_array_equal(images[2], colour)
    assert (images[3, :6] == 255).all() and (images[3, 6:] == colour[6:]).all()
    np.testing.assert_array_equal(images[4], np.array(few.convert("RGB")))
    assert np.abs(images[5].astype(int) - colour).max() <= 1
    for what in (
        "1 grey, read as RGB",
        "1 transparent, blended with white",
        "1 converted from CMYK",
    ):
        assert what in noted[-1]
    # a detector of gray pictures keeps to them
    _, images = read_all(tmp_path, channels=1, note=noted.append)
    np.testing.assert_array_equal(images[0, :, :, 0], plain)
    assert images.shape == (6, 12, 16, 1) and "5 in colour, read as grey" in noted[-1]


def test_other_files_are_passed_over_with_one_line(tmp_path):
    Image.fromarray(gray()).save(tmp_path / "A.PNG")
    for name in ("labels.json", "Thumbs.db", ".DS_Store", "a.txt", "._A.png"):
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / ".thumbnails").mkdir()
    Image.fromarray(gray()).save(tmp_path / ".thumbnails/A.png")
    noted = []
    ids, _ = read_all(tmp_path, note=noted.append)
    assert ids == ["A.PNG"] and count_rows(tmp_path) == 1
    assert len(noted) == 2 and "ignored 6 file(s) that are hidden or not images" in noted[0]
    (tmp_path / "photo.heic").write_bytes(b"something")
    with pytest.raises(
        ValueError, match=r"photo\.heic is in a format that is not supported \(1 such image"
    ):
        read_all(tmp_path)


def test_links_are_neither_lost_nor_followed_without_a_word(tmp_path):
    folder, other = tmp_path / "pictures", tmp_path / "other"
    folder.mkdir(), other.mkdir()
    Image.fromarray(gray()).save(folder / "a.png")
    Image.fromarray(gray()).save(other / "b.png")
    (folder / "b.png").symlink_to(other / "b.png")
    (folder / "more").symlink_to(other)
    noted = []
    assert read_all(folder, note=noted.append)[0] == ["a.png", "b.png"]
    assert "ignored 1 file(s) that are hidden or not images: more (1)" in noted[0]
    (folder / "c.png").symlink_to(other / "absent.png")
    with pytest.raises(ValueError, match=r"c\.png cannot be read as an image"):
        read_all(folder)


def _chunk(kind, data):
    content = kind + data
    return struct.pack(">I", len(data)) + content + struct.pack(">I", zlib.crc32(content))


def _bomb(path, width, height):
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes(1000))
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", lines) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def _cut(path):
    Image.fromarray(gray(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-200])


def _scrambled(path):
    Image.fromarray(gray(64, 64)).save(path)
    content = bytearray(path.read_bytes())
    content[33:37] = struct.pack(">I", struct.unpack(">I", content[33:37])[0] - 10)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("b.png", _cut, "cannot be read as an image"),
        ("b.jpg", _cut, "cannot be read as an image"),
        ("b.tif", _cut, "cannot be read as an image"),
        ("b.png", _scrambled, "cannot be read as an image"),
        ("b.png", lambda path: path.write_bytes(b""), "cannot be read as an image"),
        ("b.bmp", lambda path: path.write_bytes(b"BM" + bytes(20)), "cannot be read as an image"),
        ("b.png", lambda path: _bomb(path, 9500, 9500), "9500 x 9500 pixels, more than"),
        ("b.png", lambda path: _bomb(path, 60000, 60000), "b.png"),
        ("b.png", lambda path: _bomb(path, 0, 10), "cannot be read as an image"),
    ],
)
@pytest.mark.filterwarnings("ignore:Image size")
def test_damage_is_named_or_left_out(tmp_path, name, damage, reason):
    for good in ("a.png", "c.png"):
        Image.fromarray(gray(64, 64)).save(tmp_path / good)
    damage(tmp_path / name)
    with pytest.raises(ValueError, match=reason) as caught:
        read_all(tmp_path, size=(8, 8))
    assert str(tmp_path / name) in str(caught.value)
    noted = []
    ids, images = read_all(
        tmp_path, (8, 8), options=ReadOptions(skip_damaged=True), note=noted.append
    )
    assert ids == ["a.png", "c.png"] and len(images) == 2
    assert "skipped 1 unreadable image(s)" in noted[0] and name in noted[0]
    assert "--skip-damaged" not in noted[0]  # it was given


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_several_frames_are_no_picture(tmp_path, suffix):
    frames = [Image.fromarray(gray()).convert("P" if suffix == ".gif" else "RGB") for _ in range(3)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="has 3 frames or pages; expected a single image"):
        read_all(tmp_path)


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), "float32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif has floating-point pixels"):
        read_all(tmp_path)
    Image.fromarray(np.full((4, 4), 70_000, "int32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="70000; expected 0 to 65535"):
        read_all(tmp_path)
