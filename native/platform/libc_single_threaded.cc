// libstdc++, linked in statically by gcc, asks this flag of glibc 2.32 whether reference counts may
// do without atomics. Defined here as "no", so that the addon needs nothing that older versions
// lack. Which version a package may ask for: scripts/lib/platforms.mjs.
#include <cstdlib>  // __GLIBC__ is defined by a header of the C library alone

#if defined(__linux__) && defined(__GLIBC__)
extern "C" __attribute__((visibility("hidden"))) char __libc_single_threaded;
char __libc_single_threaded = 0;
#endif
