"""A generator and a frozen base in one file, and that file taken apart again.

`fused` names what tells such a file from others; `fuse` and `split` are inverse to each other. `interface` leads from
the model's input to images and back, `padding` and `opset` make two graphs fit one file, `build` writes nodes. Where
both ends answer, `answer` is the stage behind the base, by the formula of `trust` on `scores`; `early` spares the base,
and `restage` puts another stage into a finished file. Numbers of a finished file are changed by `dial`, `caution` and
`patterns`. `front`, `two_files` and `modes` are other files made of it. `metadata` reads what it says of itself, and
`seal` shows any later change.
"""
