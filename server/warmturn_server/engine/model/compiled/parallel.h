// Work shared by the threads that torch computes with. Their library is called by name: what clang makes of OpenMP's
// pragmas needs another one than torch for Linux brings.

#pragma once
#include <atomic>
#include <cstdint>

typedef int64_t i64;

extern "C" {
int omp_get_max_threads();
int omp_get_num_threads();
int omp_get_thread_num();
void GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags);
void GOMP_barrier();
}

// work() by every thread at once, or by this one alone where it is not `shared`.
template <class F>
static void together(bool shared, const F &work) {
    const auto call = [](void *data) { (*(const F *)data)(); };
    GOMP_parallel(call, (void *)&work, shared ? 0 : 1, 0);
}

// Within `together`: f(item) for this thread's part of all items.
template <class F>
static inline void own_part(i64 items, const F &f) {
    const i64 threads = omp_get_num_threads(), own = omp_get_thread_num();
    for (i64 item = items * own / threads; item < items * (own + 1) / threads; item++) f(item);
}

// Within `together`: f(item) for items that no thread has taken yet; `next` begins at 0 and is the same for all.
template <class F>
static inline void in_turn(std::atomic<i64> &next, i64 items, const F &f) {
    for (i64 item; (item = next.fetch_add(1, std::memory_order_relaxed)) < items;) f(item);
}

template <class F>
static void for_each(i64 items, bool shared, const F &f) {
    together(shared, [&] { own_part(items, f); });
}
