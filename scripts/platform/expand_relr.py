"""Writes the packed relative relocations (DT_RELR) of shared libraries as ordinary ones (DT_RELA).

Debian 12's musl, 1.2.3, can not read the packed form, which the libraries of Node's musl wheels
have. Used by scripts/lib/run-elsewhere.mjs.
Usage: python3 expand_relr.py LIBRARY ...
"""

import struct
import sys

import lief

Relocation = lief.ELF.Relocation
Tag = lief.ELF.DynamicEntry.TAG


def expand(file):
    binary = lief.parse(file)
    places = [r.address for r in binary.relocations if r.encoding == Relocation.ENCODING.RELR]
    for tag in (Tag.RELR, Tag.RELRSZ, Tag.RELRENT):
        if binary.has(tag):
            binary.remove(tag)
    is_x86 = binary.header.machine_type == lief.ELF.ARCH.X86_64
    kind = Relocation.TYPE.X86_64_RELATIVE if is_x86 else Relocation.TYPE.AARCH64_RELATIVE
    for place in places:
        relocation = Relocation(place, kind, Relocation.ENCODING.RELA)
        # The packed form has what is added in the place itself.
        (relocation.addend,) = struct.unpack("<Q", bytes(binary.get_content_from_virtual_address(place, 8)))
        binary.add_dynamic_relocation(relocation)
    binary.write(file)


for name in sys.argv[1:]:
    expand(name)
