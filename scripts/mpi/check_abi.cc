// Holds native/distributed/mpi_abi.h against the header of an MPI library, named by FL_MPI_HEADER;
// FL_MPI_ABI is the struct. Exits with the number of differences. Run by scripts/test-mpi.mjs.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include FL_MPI_HEADER

#include <cstdio>
#include <type_traits>

#include "distributed/mpi_abi.h"

using Abi = fl::mpi::FL_MPI_ABI;
using fl::mpi::Status;

// A handle is called by value, and of the same size: pointers or ints, which no call tells apart.
template <class Handle>
constexpr bool kSame =
    sizeof(Handle) == sizeof(Abi::Handle) && std::is_pointer_v<Handle> == std::is_pointer_v<Abi::Handle>;
static_assert(kSame<MPI_Comm> && kSame<MPI_Datatype> && kSame<MPI_Errhandler> && kSame<MPI_Request>);
static_assert(sizeof(MPI_Status) <= sizeof(Status) && alignof(MPI_Status) <= alignof(Status));
static_assert(MPI_SUCCESS == 0 && MPI_THREAD_FUNNELED == Abi::kFunneled);
static_assert(MPI_MAX_ERROR_STRING < 4096 && MPI_MAX_LIBRARY_VERSION_STRING < 16384);

#define FL_SAME(function, ...) static_assert(std::is_same_v<decltype(&function), int (*)(__VA_ARGS__)>)
FL_SAME(MPI_Init_thread, int*, char***, int, int*);
FL_SAME(MPI_Initialized, int*);
FL_SAME(MPI_Finalized, int*);
FL_SAME(MPI_Finalize, void);
FL_SAME(MPI_Abort, MPI_Comm, int);
FL_SAME(MPI_Comm_dup, MPI_Comm, MPI_Comm*);
FL_SAME(MPI_Comm_set_errhandler, MPI_Comm, MPI_Errhandler);
FL_SAME(MPI_Comm_rank, MPI_Comm, int*);
FL_SAME(MPI_Comm_size, MPI_Comm, int*);
FL_SAME(MPI_Isend, const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);
FL_SAME(MPI_Irecv, void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);
FL_SAME(MPI_Test, MPI_Request*, int*, MPI_Status*);
FL_SAME(MPI_Error_string, int, char*, int*);
FL_SAME(MPI_Get_library_version, char*, int*);

int main(int, char** arguments) {
  // The library itself, so that addresses can be compared.
  const fl::platform::SharedLibrary library(arguments[1]);
  int different = 0;
  const auto same = [&](const char* what, bool is) {
    if (is) return;
    std::printf("%s is another one in the header\n", what);
    different++;
  };
  same("MPI_COMM_WORLD", MPI_COMM_WORLD == (MPI_Comm)Abi::world(library));
  same("MPI_BYTE", MPI_BYTE == (MPI_Datatype)Abi::byte(library));
  same("MPI_ERRORS_RETURN", MPI_ERRORS_RETURN == (MPI_Errhandler)Abi::errorsReturn(library));
  return different;
}
