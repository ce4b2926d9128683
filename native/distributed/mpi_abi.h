// The binary interfaces of MPI libraries, as far as they are called here: what a handle is, and the
// values of constants. They are what a program is linked against, so they hold for all versions of
// a soname (libmpi.so.40; libmpich.so.12 and libmpi.so.12; libmpi_abi.so.1), and no header is
// needed to build. scripts/mpi/check_abi.cc holds them against the real headers.
#pragma once

#include <cstdint>

#include "platform/library.h"

namespace fl::mpi {

/// Open MPI: handles are addresses of objects in the library.
struct OpenMpiAbi {
  using Handle = void*;
  static constexpr int kFunneled = 1;
  static constexpr const char* kName = "Open MPI";
  static constexpr const char *kWorld = "ompi_mpi_comm_world", *kByte = "ompi_mpi_byte",
                              *kErrorsReturn = "ompi_mpi_errors_return";
  static Handle world(const platform::SharedLibrary& library) { return library.find(kWorld); }
  static Handle byte(const platform::SharedLibrary& library) { return library.find(kByte); }
  static Handle errorsReturn(const platform::SharedLibrary& library) { return library.find(kErrorsReturn); }
};

/// MPICH, Intel MPI, MVAPICH, Cray MPICH: handles are numbers.
struct MpichAbi {
  using Handle = int;
  static constexpr int kFunneled = 1;
  static constexpr const char* kName = "MPICH";
  static constexpr Handle kWorld = 0x44000000, kByte = 0x4c00010d, kErrorsReturn = 0x54000001;
  static Handle world(const platform::SharedLibrary&) { return kWorld; }
  static Handle byte(const platform::SharedLibrary&) { return kByte; }
  static Handle errorsReturn(const platform::SharedLibrary&) { return kErrorsReturn; }
};

/// The one of the standard, since MPI 5.0: handles are pointers of small numbers.
struct StandardAbi {
  using Handle = void*;
  static constexpr int kFunneled = 1024;
  static constexpr const char* kName = "MPI ABI";
  static constexpr int kWorld = 0x101, kByte = 0x247, kErrorsReturn = 0x143;
  static Handle pointer(intptr_t number) { return reinterpret_cast<Handle>(number); }
  static Handle world(const platform::SharedLibrary&) { return pointer(kWorld); }
  static Handle byte(const platform::SharedLibrary&) { return pointer(kByte); }
  static Handle errorsReturn(const platform::SharedLibrary&) { return pointer(kErrorsReturn); }
};

/// Larger than the MPI_Status of each of them (20, 24 and 32 bytes), whose fields nobody reads.
struct alignas(8) Status {
  unsigned char bytes[64];
};

}  // namespace fl::mpi
