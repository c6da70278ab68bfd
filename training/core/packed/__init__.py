"""Training passes on real tokens only, in few and large operators: `packed` in a recipe's settings is the door.

Nobody needs this room for a first run. It is here because rows of different lengths make rectangles, and
every layer multiplies the padding too: one backbone's pass on 16 texts of 64 tokens takes 25-35 % less.
It is apart because it writes a layer of one architecture out by hand. What is not a plain Llama
(`packable`) keeps its library's own code, and so does every Llama where the setting is off; the gradients
are the same to rounding, not to the bit. Sharded networks are refused: layers are read here, not called,
so that nothing would gather their weights.
"""
