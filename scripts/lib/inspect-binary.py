"""What a native addon asks of a machine and shows to it, as JSON: libraries, symbols, versions.

ELF, PE and Mach-O alike, read by LIEF. The rules that it is held to: scripts/packages.mjs.
Usage: python3 inspect-binary.py FILE
"""

import json
import sys

import lief


def elf(binary):
    versions = {}
    for requirement in binary.symbols_version_requirement:
        versions[requirement.name] = sorted(entry.name for entry in requirement.get_auxiliary_symbols())
    dynamic = list(binary.dynamic_symbols)
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


def macho(binary):
    build = binary.build_version if binary.has_build_version else None
    minimum = build.minos if build else binary.version_min.version if binary.has_version_min else None
    return {
        "format": "Mach-O",
        "machine": binary.header.cpu_type.name,
        "kind": binary.header.file_type.name,
        "libraries": [library.name for library in binary.libraries if library.command.name != "ID_DYLIB"],
        "exported": sorted(symbol.name for symbol in binary.exported_symbols),
        "imported": [{"name": symbol.name, "version": None, "weak": False} for symbol in binary.imported_symbols],
        "minimum": ".".join(map(str, minimum)) if minimum else None,
        "signed": binary.has_code_signature,
        "commands": sorted({command.command.name for command in binary.commands}),
        "stripped": not any(section.name.startswith("__debug") for section in binary.sections),
    }


def main():
    binary = lief.parse(sys.argv[1])
    if isinstance(binary, lief.MachO.FatBinary):
        binary = binary.at(0)
    if isinstance(binary, lief.ELF.Binary):
        found = elf(binary)
    elif isinstance(binary, lief.PE.Binary):
        found = pe(binary)
    elif isinstance(binary, lief.MachO.Binary):
        found = macho(binary)
    else:
        sys.exit(f"{sys.argv[1]}: no ELF, PE or Mach-O file")
    json.dump(found, sys.stdout)


main()
