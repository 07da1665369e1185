"""How an instruction walks over a tensor: fields that several opcodes share."""

from math import prod

from hdl.isa import ADDRESS_WIDTH, FIELDS

__all__ = ["address", "check_fields", "dense_walk", "walk"]


_FIELDS = {field.name: field for field in FIELDS if not field.signed}


def _width(name, config):
    """Bits that the engine keeps of a field."""
    return config.instruction.widths.get(name, _FIELDS[name].width)


def address(value):
    """An address or step, modulo the size of activation memory's address."""
    return value % (1 << ADDRESS_WIDTH)


def walk(source, size, config, *, kernel=(1, 1), stride=(1, 1), padding=(0, 0), dilation=(1, 1),
         first_word=0):
    """Return the fields of a walk over the pixels and taps of a region.

    Parameters
    ----------
    source : compiler.layout.Region
    size : (int, int)
        Rows and columns of output pixels of a frame.
    config : Configuration
    kernel, stride, dilation : (int, int)
        (height, width).
    padding : (int, int)
        (top, left).
    first_word : int
        Word of a pixel that is read first.
    """
    # What is never stepped over need not fit its field.
    stride = [step if count > 1 else 1 for step, count in zip(stride, size, strict=True)]
    dilation = [step if taps > 1 else 1 for step, taps in zip(dilation, kernel, strict=True)]
    row, step = source.row_step, source.step
    pixels = source.frames * prod(size)
    return {
        "base": address(source.base + first_word - padding[0] * row - padding[1] * step),
        "x_step": address(stride[1] * step), "y_step": address(stride[0] * row),
        "frame_step": address(source.frame_step) if source.frames > 1 else 0,
        "tap_x_step": address(dilation[1] * step), "tap_y_step": address(dilation[0] * row),
        "in_height": source.shape[1], "in_width": source.shape[2],
        "pad_top": padding[0], "pad_left": padding[1],
        "stride_y": stride[0], "stride_x": stride[1],
        "dilation_y": dilation[0], "dilation_x": dilation[1],
        "out_height": size[0] - 1, "out_width": size[1] - 1, "frames": source.frames - 1,
        "pixels": pixels - 1, "tiles": -(-pixels // config.rows) - 1,
        "kernel_height": kernel[0] - 1, "kernel_width": kernel[1] - 1,
    }


def dense_walk(region, config):
    """Return the fields of a walk over all words of a region, one pixel each, in order.

    An instruction walks over three loops. Those over frames, rows, pixels and words are joined
    where one goes on where the other ends, in the first way that its fields can hold.
    """
    loops = [(region.frames, region.frame_step), (region.shape[1], region.row_step),
             (region.shape[2], region.step), (region.words, 1)]
    choices = [[*loops[:index], joined, *loops[index + 2:]]
               for index in range(3) if (joined := _joined(*loops[index:index + 2]))]
    limits = [1 << _width(name, config) for name in ("frames", "out_height", "out_width")]
    fits = [choice for choice in choices if all(
        count <= limit for (count, _), limit in zip(choice, limits, strict=True))]
    (frames, frame_step), (height, y_step), (width, x_step) = (fits or choices)[0]
    return {
        "base": region.base, "x_step": address(x_step), "y_step": address(y_step),
        "frame_step": address(frame_step) if frames > 1 else 0, "in_height": 1, "in_width": 1,
        "frames": frames - 1, "out_height": height - 1, "out_width": width - 1,
        "pixels": region.size - 1, "tiles": -(-region.size // config.rows) - 1,
    }


def _joined(outer, inner):
    """Two loops (count, step) as one; None if it would not go through evenly spaced addresses."""
    if outer[0] == 1:
        return inner
    if inner[0] == 1:
        return outer
    return (outer[0] * inner[0], inner[1]) if outer[1] == inner[0] * inner[1] else None


def check_fields(subject, fields, config):
    """Refuse what the instruction's fields cannot hold, as the engine of ``config`` keeps them.

    Raises
    ------
    ValueError
        Naming the ``subject`` and the quantity.
    """
    for name, value in fields.items():
        if name not in _FIELDS or name == "base":
            continue        # Codes, which a layer has checked; and where there is memory.
        width, less_one = _width(name, config), _FIELDS[name].meaning.endswith("less one.")
        if value >> width:
            raise ValueError(f"{subject}: {name} is {value + less_one}, more than the "
                             f"{(1 << width) - 1 + less_one} of an instruction")
    for axis, side in (("height", "y"), ("width", "x")):
        span = fields.get(f"kernel_{axis}", 0) * fields.get(f"dilation_{side}", 0) + 1
        if span > (limit := config.instruction.tap_span):
            raise ValueError(f"{subject}: the dilated kernel's {axis} is {span}, more than the "
                             f"{limit} of the engine")
