// oneTBB's bounded queue behind C functions: one call an operation, nothing in between.
#include <cstddef>
#include <cstdint>
#include <new>
#include <oneapi/tbb/concurrent_queue.h>
#include <oneapi/tbb/version.h>

namespace {
template <std::size_t W> struct Message {
    std::uint64_t words[W];
};
template <std::size_t W> using Queue = tbb::concurrent_bounded_queue<Message<W>>;

struct Bounded {
    std::size_t words;
    void *(*make)(std::size_t);
    bool (*push)(void *, const void *);
    bool (*pop)(void *, void *);
};

template <std::size_t W> struct Table {
    static constexpr Bounded bounded = {
        W,
        [](std::size_t slots) -> void * {
            try {
                auto *queue = new Queue<W>;
                queue->set_capacity(static_cast<std::ptrdiff_t>(slots));
                return queue;
            } catch (...) {
                return nullptr;
            }
        },
        [](void *q, const void *m) {
            try {
                return static_cast<Queue<W> *>(q)->try_push(*static_cast<const Message<W> *>(m));
            } catch (...) {
                return false;
            }
        },
        [](void *q, void *m) { return static_cast<Queue<W> *>(q)->try_pop(*static_cast<Message<W> *>(m)); },
    };
};

constexpr const Bounded *tables[] = {&Table<1>::bounded, &Table<8>::bounded, &Table<32>::bounded};
} // namespace

extern "C" {
// The oneTBB of the headers: major * 1000 + minor.
std::uint32_t peers_tbb_version() { return TBB_VERSION_MAJOR * 1000 + TBB_VERSION_MINOR; }

// The functions for messages of `words` words; null where there are none.
const Bounded *peers_tbb(std::size_t words) {
    for (auto *table : tables)
        if (table->words == words) return table;
    return nullptr;
}
}
