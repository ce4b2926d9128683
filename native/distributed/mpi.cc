// One source for all makes of MPI: functions are looked up in the open library, handles and
// constants come from mpi_abi.h. The promises: mpi.h.
#include "distributed/mpi.h"

#include <cstring>
#include <stdexcept>
#include <vector>

#include "distributed/mpi_abi.h"
#include "runtime/error.h"

namespace fl::mpi {
namespace {

[[noreturn]] void unusable(const std::string& file, const std::string& why) {
  fail("MPI_UNAVAILABLE", file + ": " + why);
}

template <class Abi>
class MpiOf final : public Mpi {
  using Handle = typename Abi::Handle;
  static_assert(sizeof(Handle) <= sizeof(Request::handle));

 public:
  MpiOf(const std::string& file, platform::SharedLibrary library) : file_(file), library_(library) {
    bind(initThread_, "MPI_Init_thread");
    bind(initialized_, "MPI_Initialized");
    bind(finalized_, "MPI_Finalized");
    bind(finalize_, "MPI_Finalize");
    bind(abort_, "MPI_Abort");
    bind(duplicate_, "MPI_Comm_dup");
    bind(setErrorHandler_, "MPI_Comm_set_errhandler");
    bind(rankOf_, "MPI_Comm_rank");
    bind(sizeOf_, "MPI_Comm_size");
    bind(isend_, "MPI_Isend");
    bind(irecv_, "MPI_Irecv");
    bind(test_, "MPI_Test");
    bind(errorString_, "MPI_Error_string");
    bind(libraryVersion_, "MPI_Get_library_version");
    world_ = Abi::world(library_);
    byte_ = Abi::byte(library_);
    if (!world_ || !byte_ || !Abi::errorsReturn(library_)) unusable(file_, "it lacks objects of Open MPI's");
  }

  std::string abi() const override { return Abi::kName; }

  std::string version() const override {
    // The longest there is: MPICH's has 8192 characters.
    std::vector<char> text(16384, 0);
    int length = 0;
    if (libraryVersion_(text.data(), &length) != 0) return Abi::kName;
    const std::string all(text.data());
    return all.substr(0, all.find_first_of("\n\r"));
  }

  void start() override {
    int is = 0;
    check(initialized_(&is), "MPI_Initialized");
    if (is) unusable(file_, "MPI is in use in this process already, by another module; it can be used once");
    int provided = 0;
    check(initThread_(nullptr, nullptr, Abi::kFunneled, &provided), "MPI_Init_thread");
    if (provided < Abi::kFunneled) unusable(file_, "it takes no calls from a thread of its own (MPI_THREAD_FUNNELED)");
    check(setErrorHandler_(world_, Abi::errorsReturn(library_)), "MPI_Comm_set_errhandler");
    check(duplicate_(world_, &own_), "MPI_Comm_dup");
    check(setErrorHandler_(own_, Abi::errorsReturn(library_)), "MPI_Comm_set_errhandler");
    check(rankOf_(own_, &rank_), "MPI_Comm_rank");
    check(sizeOf_(own_, &size_), "MPI_Comm_size");
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Request send(const void* bytes, int count, int to, int tag) override {
    Handle handle;
    check(isend_(bytes, count, byte_, to, tag, own_, &handle), "MPI_Isend");
    return requestOf(handle);
  }

  Request receive(void* bytes, int count, int from, int tag) override {
    Handle handle;
    check(irecv_(bytes, count, byte_, from, tag, own_, &handle), "MPI_Irecv");
    return requestOf(handle);
  }

  bool isDone(Request& request) override {
    Handle handle;
    std::memcpy(&handle, request.handle, sizeof handle);
    int done = 0;
    Status status;
    check(test_(&handle, &done, &status), "MPI_Test");
    request = requestOf(handle);
    return done != 0;
  }

  void stop() override {
    int ended = 0;
    if (finalized_(&ended) == 0 && !ended) finalize_();
  }

  void abort(int code) override { abort_(world_, code); }

 private:
  template <class Function>
  void bind(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(library_.find(name));
    if (!function) unusable(file_, std::string("it has no ") + name);
  }

  static Request requestOf(Handle handle) {
    Request request{};
    std::memcpy(request.handle, &handle, sizeof handle);
    return request;
  }

  void check(int error, const char* call) const {
    if (error == 0) return;
    std::vector<char> text(4096, 0);
    int length = 0;
    errorString_(error, text.data(), &length);
    fail("RANK_FAILED", std::string(call) + " failed: " + text.data());
  }

  std::string file_;
  platform::SharedLibrary library_;
  Handle world_{}, byte_{}, own_{};
  int rank_ = 0, size_ = 1;

  int (*initThread_)(int*, char***, int, int*);
  int (*initialized_)(int*);
  int (*finalized_)(int*);
  int (*finalize_)();
  int (*abort_)(Handle, int);
  int (*duplicate_)(Handle, Handle*);
  int (*setErrorHandler_)(Handle, Handle);
  int (*rankOf_)(Handle, int*);
  int (*sizeOf_)(Handle, int*);
  int (*isend_)(const void*, int, Handle, int, int, Handle, Handle*);
  int (*irecv_)(void*, int, Handle, int, int, Handle, Handle*);
  int (*test_)(Handle*, int*, void*);
  int (*errorString_)(int, char*, int*);
  int (*libraryVersion_)(char*, int*);
};

/// Whether a library has the standard's interface; one that has not yet says so by the same call.
bool hasStandardAbi(const platform::SharedLibrary& library) {
  const auto version = reinterpret_cast<int (*)(int*, int*)>(library.find("MPI_Abi_get_version"));
  int major = -1, minor = -1;
  return version && version(&major, &minor) == 0 && major >= 1;
}

}  // namespace

std::unique_ptr<Mpi> Mpi::open(const std::string& file) {
  try {
    const platform::SharedLibrary library(file);
    if (library.find(OpenMpiAbi::kWorld)) return std::make_unique<MpiOf<OpenMpiAbi>>(file, library);
    if (hasStandardAbi(library)) return std::make_unique<MpiOf<StandardAbi>>(file, library);
    return std::make_unique<MpiOf<MpichAbi>>(file, library);
  } catch (const std::runtime_error& error) {
    if (dynamic_cast<const Error*>(&error)) throw;
    fail("MPI_UNAVAILABLE", error.what());
  }
}

}  // namespace fl::mpi
