// What cuda/hopper/*.cuh describe, on the CPU: clusters, barriers in shared memory, the copy engine
// and wgmma. A tensor map holds, in its words, where the matrix is, its rows and columns, those of
// a box, and the bytes of an element.
#pragma once

#include <cstdint>

namespace fl::emulator {

uint32_t sharedAddress(const void* shared);
void initBarrier(void* barrier, int count);
void arrive(void* barrier, int expectedBytes);
/// The same place in another block of the cluster.
void* ofBlock(void* shared, int rank);
void waitForPhase(void* barrier, uint32_t parity);

void loadBox(const uint64_t* map, void* shared, void* barrier, int row, int col, unsigned blocks);
void storeBox(const uint64_t* map, const void* shared, int row, int col);
void endStores();
void waitForReads(int left);

int clusterRank();
void clusterBarrier();
void namedBarrier(int id, int threads);

void beginProducts();
void endProducts();
void waitForProducts(int left);
void multiply(float* d, int columns, uint64_t a, uint64_t b, bool acrossB, bool accumulate);
void multiplyFrom(float* d, int columns, const uint32_t (&a)[4], uint64_t b, bool acrossB);

}  // namespace fl::emulator
