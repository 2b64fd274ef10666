#include "http/router.hpp"

#include "http/target.hpp"

#include <stdexcept>

namespace runledger::http {
namespace {

constexpr std::size_t max_segments = 24;

/// Calls `take` with each segment of `path` (which starts with a slash) until it says false.
template <class Take>
bool each_segment(std::string_view path, Take take) {
  path.remove_prefix(1);
  for (;;) {
    const std::size_t slash = path.find('/');
    if (!take(path.substr(0, slash)))
      return false;
    if (slash == path.npos)
      return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

constexpr std::uint16_t bit_of(verb v) {
  return static_cast<std::uint16_t>(1u << static_cast<unsigned>(v));
}

} // namespace

router::router(std::span<const route> table) : table_(table) {
  nodes_.emplace_back();
  for (const route& each : table)
    add(each);
}

void router::add(const route& r) {
  auto reject = [&](const char* why) {
    throw std::invalid_argument("route " + std::string{r.pattern} + ": " + why);
  };
  if (r.pattern.empty() || r.pattern[0] != '/' || r.handle == nullptr)
    reject("malformed");
  std::uint32_t at = 0;
  std::size_t parameters = 0, segments = 0;
  each_segment(r.pattern, [&](std::string_view segment) {
    if (++segments > max_segments || (is_parameter(segment) && ++parameters > request::max_params))
      reject("too many segments");
    std::uint32_t next = 0;
    if (is_parameter(segment)) {
      next = nodes_[at].parameter;
    } else {
      for (const auto& [text, child] : nodes_[at].literals)
        if (text == segment)
          next = child;
    }
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      if (is_parameter(segment))
        nodes_[at].parameter = next;
      else
        nodes_[at].literals.emplace_back(segment, next);
    }
    at = next;
    return true;
  });
  node& end = nodes_[at];
  if (end.by_verb[static_cast<unsigned>(r.method)] != nullptr)
    reject("stands twice");
  end.by_verb[static_cast<unsigned>(r.method)] = &r;
  end.methods |= bit_of(r.method);
  if (r.method == verb::get)
    end.methods |= bit_of(verb::head);
}

const router::node* router::walk(std::uint32_t at, std::span<const std::string_view> rest,
                                 std::span<std::string_view> values, std::size_t depth) const {
  const node& here = nodes_[at];
  if (rest.empty())
    return here.methods != 0 ? &here : nullptr;
  for (const auto& [text, child] : here.literals)
    if (text == rest[0])
      if (const node* end = walk(child, rest.subspan(1), values, depth))
        return end;
  if (here.parameter == 0 || rest[0].empty() || depth >= values.size())
    return nullptr;
  values[depth] = rest[0];
  return walk(here.parameter, rest.subspan(1), values, depth + 1);
}

router::match router::find(request& rq) const {
  std::array<std::string_view, max_segments> segments;
  std::size_t count = 0;
  bool bad = false;
  const bool walked = each_segment(rq.path_, [&](std::string_view raw) {
    auto decoded = decode_escapes(raw, false, rq.decoded_);
    bad = !decoded;
    if (bad || count == max_segments)
      return false;
    segments[count++] = *decoded;
    return true;
  });
  if (bad)
    return {.what = outcome::bad_path};
  if (!walked)
    return {};
  std::array<std::string_view, request::max_params> values;
  const node* end = walk(0, {segments.data(), count}, values, 0);
  if (end == nullptr)
    return {};
  const verb asked = rq.method_ == verb::head ? verb::get : rq.method_;
  const route* found = end->by_verb[static_cast<unsigned>(asked)];
  if (found == nullptr)
    return {.what = outcome::no_method, .found = nullptr, .methods = end->methods};
  rq.pattern_ = found->pattern;
  rq.param_count_ = 0;
  each_segment(found->pattern, [&](std::string_view segment) {
    if (is_parameter(segment)) {
      rq.params_[rq.param_count_] = {segment.substr(1, segment.size() - 2),
                                     values[rq.param_count_]};
      ++rq.param_count_;
    }
    return true;
  });
  return {.what = outcome::found, .found = found, .methods = end->methods};
}

std::string allow_header(std::uint16_t methods) {
  std::string text;
  for (unsigned v = 0; v < verb_count; ++v) {
    if ((methods & (1u << v)) == 0)
      continue;
    if (!text.empty())
      text += ", ";
    text += name_of(static_cast<verb>(v));
  }
  return text;
}

} // namespace runledger::http
