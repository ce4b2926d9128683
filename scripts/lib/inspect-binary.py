"""What a native addon asks of a machine and shows to it, as JSON: libraries, symbols, versions.

ELF, PE and Mach-O alike, read by LIEF. The rules that it is held to: scripts/packages.mjs.
Usage: python3 inspect-binary.py FILE
"""

import hashlib
import json
import struct
import sys

import lief


def elf(binary):
    versions = {}
    for requirement in binary.symbols_version_requirement:
        versions[requirement.name] = sorted(entry.name for entry in requirement.get_auxiliary_symbols())
    dynamic = list(binary.dynamic_symbols)
    flags = binary.get(lief.ELF.DynamicEntry.TAG.FLAGS_1)
    return {
        "format": "ELF",
        "machine": binary.header.machine_type.name,
        "libraries": list(binary.libraries),
        "versions": versions,
        "exported": sorted(symbol.name for symbol in dynamic if symbol.shndx != 0 and symbol.name),
        "imported": [
            {
                "name": symbol.name,
                "version": symbol.symbol_version.symbol_version_auxiliary.name
                if symbol.has_version and symbol.symbol_version.has_auxiliary_version
                else None,
                "weak": symbol.binding == lief.ELF.Symbol.BINDING.WEAK,
            }
            for symbol in dynamic
            if symbol.shndx == 0 and symbol.name
        ],
        "stripped": len(list(binary.symtab_symbols)) == 0,
        "stays": flags is not None and flags.has(lief.ELF.DynamicEntryFlags.FLAG.NODELETE),
    }


def pe(binary):
    return {
        "format": "PE",
        "machine": binary.header.machine.name,
        "libraries": [entry.name for entry in binary.imports],
        "exported": sorted(entry.name for entry in binary.get_export().entries) if binary.has_exports else [],
        "imported": [
            {"name": entry.name, "version": library.name, "weak": False}
            for library in binary.imports
            for entry in library.entries
        ],
        "timestamp": binary.header.time_date_stamps,
        "stripped": not any(section.name.startswith(".debug") for section in binary.sections),
    }


def signature(file, binary):
    """Whether a Mach-O file's pages have the hashes that its code directory says, and its flags."""
    if not binary.has_code_signature:
        return None
    with open(file, "rb") as opened:
        content = opened.read()
    blob = content[binary.code_signature.data_offset :]
    # A SuperBlob: magic, length, count, then type and offset of each.
    (count,) = struct.unpack_from(">I", blob, 8)
    for i in range(count):
        kind, at = struct.unpack_from(">II", blob, 12 + 8 * i)
        if kind == 0:
            directory = blob[at:]
            break
    else:
        return None
    flags, hashes, _, _, slots, limit, size, _, _, page = struct.unpack_from(">IIIIIIBBBB", directory, 12)
    pages = [content[i * (1 << page) : min((i + 1) * (1 << page), limit)] for i in range(slots)]
    stored = [directory[hashes + i * size : hashes + (i + 1) * size] for i in range(slots)]
    valid = all(hashlib.sha256(page).digest()[:size] == entry for page, entry in zip(pages, stored))
    return {"adHoc": bool(flags & 2), "valid": slots > 0 and valid, "covers": limit == binary.code_signature.data_offset}


def macho_imports(binary):
    """What the dynamic linker looks up. zig's symbol table names more: of parts that were left out.

    version: the library that a symbol is bound to; None: looked up in the running program.
    coalesced: bound to the first library that shows a symbol of that name.
    """
    coalesced = set()
    for binding in binary.bindings:
        if "WEAK" in str(binding.binding_class):
            coalesced.add(binding.symbol.name)
    bound = [
        {
            "name": symbol.name,
            "version": symbol.binding_info.library.name if symbol.binding_info.has_library else None,
            "weak": False,
        }
        for symbol in binary.imported_symbols
        if symbol.has_binding_info
    ]
    return {"imported": bound, "coalesced": sorted(coalesced)}


def macho(binary, file):
    build = binary.build_version if binary.has_build_version else None
    minimum = build.minos if build else binary.version_min.version if binary.has_version_min else None
    return {
        "format": "Mach-O",
        "machine": binary.header.cpu_type.name,
        "kind": binary.header.file_type.name,
        "libraries": [library.name for library in binary.libraries if library.command.name != "ID_DYLIB"],
        "exported": sorted(symbol.name for symbol in binary.exported_symbols),
        **macho_imports(binary),
        "minimum": ".".join(map(str, minimum)) if minimum else None,
        "signature": signature(file, binary),
        "commands": sorted({command.command.name for command in binary.commands}),
        "stripped": not any(section.name.startswith("__debug") for section in binary.sections),
    }


def main():
    # What LIEF says of Mach-O files goes where the answer goes too.
    lief.logging.disable()
    binary = lief.parse(sys.argv[1])
    if isinstance(binary, lief.MachO.FatBinary):
        binary = binary.at(0)
    if isinstance(binary, lief.ELF.Binary):
        found = elf(binary)
    elif isinstance(binary, lief.PE.Binary):
        found = pe(binary)
    elif isinstance(binary, lief.MachO.Binary):
        found = macho(binary, sys.argv[1])
    else:
        sys.exit(f"{sys.argv[1]}: no ELF, PE or Mach-O file")
    json.dump(found, sys.stdout)


main()
