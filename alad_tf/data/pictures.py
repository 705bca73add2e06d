"""Pictures of a folder as uint8 arrays: upright, in one colour mode, 16 bits scaled to 8."""

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif")
# formats of pictures that cannot be read here: they are refused, not ignored
FOREIGN = (".heic", ".heif", ".avif", ".jp2", ".j2k", ".svg", ".psd", ".dng", ".cr2", ".nef")
FOREIGN += (".arw", ".raw", ".dcm", ".nii", ".pgm", ".ppm", ".pbm", ".pnm", ".tga", ".exr")
MOST_PIXELS = 89_000_000  # below Pillow's limit for a warning
GRAY, DEEP = ("1", "L", "LA", "La"), ("I", "I;16", "I;16L", "I;16B", "I;16N")
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras have


@dataclass(frozen=True)
class Found:
    """The files of a folder: pictures, sorted by path, and what is ignored."""

    folder: Path
    pictures: list
    others: list

    @classmethod
    def of(cls, folder):
        """Look into a folder and below it.

        Hidden files and folders are ignored, since systems and tools keep thumbnails and
        copies there under the suffixes of pictures.

        Raises:
            ValueError: if there are pictures in an unsupported format.
        """
        folder = Path(folder)
        # a broken link is a missing picture, and linked folders are not searched
        files = sorted(p for p in folder.rglob("*") if p.is_file() or p.is_symlink())
        shown = [p for p in files if not _hidden(p.relative_to(folder))]
        foreign = [path for path in shown if path.suffix.lower() in FOREIGN]
        if foreign:
            raise ValueError(
                f"{foreign[0]} is in a format that is not supported ({len(foreign)} such image(s) "
                f"in all). Convert them to PNG, or move them out of {folder}. Supported: "
                f"{', '.join(IMAGES)}."
            )
        pictures = [p for p in shown if p.suffix.lower() in IMAGES and not p.is_dir()]
        return cls(folder, pictures, sorted(set(files) - set(pictures)))

    def passed_over(self):
        """One line about the other files, or None."""
        if not self.others:
            return None
        kinds = Counter(path.suffix.lower() or path.name for path in self.others)
        kinds_shown = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(6))
        return f"ignored {len(self.others):,} file(s) that are hidden or not images: {kinds_shown}"


def _hidden(path):
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


@dataclass(frozen=True)
class Mode:
    """How the pictures of a folder become pixels, decided once by all of them.

    Attributes:
        channels: int, 1 for grey or 3 for RGB.
        depth: int, bits of 16-bit grey pictures that are used: white is 2**depth - 1.
    """

    channels: int
    depth: int = 16

    @classmethod
    def of(cls, paths):
        """Grey if all pictures are; the depth by their largest value."""
        channels, depth = 1, DEPTHS[0]
        for path in paths:
            # a damaged one is an error when it is read
            with contextlib.suppress(ValueError), _opened(path) as image:
                if image.mode in DEEP:
                    most = int(_deep(path, image).max())
                    depth = max(depth, next(bits for bits in DEPTHS if most < 2**bits))
                elif image.mode not in GRAY:
                    channels = 3
        return cls(channels, depth if depth > DEPTHS[0] else 16)

    def read(self, path, size=None, seen=None):
        """A picture as uint8 `(H, W, channels)`.

        Args:
            path: Path.
            size: (height, width) or None.
            seen: Counter of what was done to pictures, or None.
        """
        from PIL import Image

        seen = Counter() if seen is None else seen
        remedy = " Replace it, or skip such images with --skip-damaged."
        with _opened(path, remedy) as image:
            image = self._upright(path, image, seen)
            if size is not None:
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array = np.array(image, "uint8")
        return array.reshape(*array.shape[:2], self.channels)

    def _upright(self, path, image, seen):
        from PIL import Image, ImageOps

        if image.getexif().get(0x0112, 1) != 1:
            seen["rotated according to their EXIF data"] += 1
        image = ImageOps.exif_transpose(image)
        if image.mode in DEEP:
            values, white = _deep(path, image), 2**self.depth - 1
            seen[f"scaled from {self.depth} bits to 8"] += 1
            if values.max() > white:
                seen[f"clipped to {self.depth} bits"] += 1
            scaled = np.minimum(values, white) * (255 / white)
            image = Image.fromarray(np.round(scaled).astype("uint8"))
        elif image.mode == "F":
            raise ValueError(
                f"{path} has floating-point pixels; expected 8 or 16 bits. Scale and convert it."
            )
        in_colour = image.mode not in GRAY
        if image.mode == "CMYK":
            seen["converted from CMYK"] += 1
        if image.has_transparency_data:
            image = image.convert("RGBA")
            if image.getextrema()[3][0] < 255:
                seen["transparent, blended with white"] += 1
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB")
        if in_colour and self.channels == 1:
            seen["in colour, read as grey"] += 1
        if not in_colour and self.channels == 3:
            seen["grey, read as RGB"] += 1
        return image.convert("L" if self.channels == 1 else "RGB")


def readable(paths):
    """Those of the pictures that can be read whole, and the errors of the others."""
    good, errors = [], []
    for path in paths:
        try:
            with _opened(path):
                pass
            good.append(path)
        except ValueError as error:
            errors.append(str(error))
    return good, errors


@contextlib.contextmanager
def _opened(path, remedy=""):
    """A picture, decoded; any error becomes a ValueError that names the file."""
    from PIL import Image

    try:
        # by its name, Pillow would map an uncompressed TIFF into memory, and scramble a turned one
        with open(path, "rb") as file, Image.open(file) as image:
            _require_decent(path, image)
            image.load()
            yield image
    except Exception as error:  # decoders raise all kinds of errors for damaged files
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        raise ValueError(
            f"{path} cannot be read as an image ({type(error).__name__}: {error}).{remedy}"
        ) from error


def _require_decent(path, image):
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{path} has {width} x {height} pixels, more than {MOST_PIXELS:,}. Shrink it, or cut "
            "it into tiles."
        )
    frames = getattr(image, "n_frames", 1)
    # a phone's JPEG may bring a preview as its second frame
    if frames > 1 and image.format != "MPO":
        raise ValueError(
            f"{path} has {frames} frames or pages; expected a single image. Save each in a "
            "file of its own."
        )


def _deep(path, image):
    """Values of a 16-bit grey picture, as int64."""
    values = np.array(image).astype(np.int64)
    if values.min() < 0 or values.max() > 2**16 - 1:
        raise ValueError(
            f"{path} has values from {values.min()} to {values.max()}; expected 0 to 65535. Scale "
            "and convert it to 8 or 16 bits."
        )
    return values
