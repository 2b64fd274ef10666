#include "cli/audit_evidence.hpp"

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "events/log/tree_head_files.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace runledger::cli {

namespace {

/// Every line must be a tree head.
void add_brought(const std::string& path, std::vector<replay::kept_head>& to) {
  const auto text = file_text(path);
  const auto before = to.size();
  std::size_t number = 0;
  for (const auto line : lines_of(text)) {
    ++number;
    if (line.empty())
      continue;
    auto head = head_from_line(line);
    if (!head)
      throw command_failure{
          exit_wrong, fmt::format("{}, line {}: this is no tree head; lines of DATA/tree-heads are",
                                  path, number)};
    to.push_back({fmt::format("{}, line {}", path, number), *std::move(head)});
  }
  if (to.size() == before)
    throw command_failure{exit_wrong, fmt::format("{} holds no tree head", path)};
}

std::string place_of(const replay::finding& f, const char* outside) {
  std::string out;
  if (!f.stream.empty())
    out += fmt::format("stream {}, ", printable(f.stream.value));
  if (f.seq > 0)
    out += fmt::format("seq {}, ", f.seq);
  if (f.offset >= 0)
    out += fmt::format("offset {}, ", f.offset);
  return out.empty() ? outside : out.substr(0, out.size() - 2);
}

} // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    out.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return out;
}

std::vector<ed25519::public_key> trusted_keys(const std::string& path) {
  if (path.empty())
    return {};
  auto keys = ed25519::public_keys_from_pem(file_text(path));
  if (!keys)
    throw command_failure{exit_wrong,
                          fmt::format("{} holds no Ed25519 public key (PEM), or another besides; "
                                      "`runledger audit keys` prints the right ones",
                                      path)};
  return *std::move(keys);
}

std::vector<replay::kept_head> brought_heads(const std::vector<std::string>& paths) {
  std::vector<replay::kept_head> out;
  for (const auto& path : paths)
    add_brought(path, out);
  return out;
}

void add_kept_beside(const std::string& folder, std::vector<replay::kept_head>& to,
                     replay::verify_report& report) {
  for (const auto& name : tree_head_file_names(folder)) {
    const auto path = folder + '/' + name;
    const auto text = file_text(path);
    const auto lines = lines_of(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto place = fmt::format("{}, line {}", path, i + 1);
      if (auto head = head_from_line(lines[i]))
        to.push_back({place, *std::move(head)});
      else if (i + 1 < lines.size() || text.ends_with('\n'))
        ++report.found,
            report.findings.push_back(
                {replay::finding_kind::head_unreadable, 0, {}, 0, -1, place + " is no tree head"});
    }
  }
}

void put_behind(replay::verify_report& report, replay::verify_report outside) {
  report.found += outside.found;
  std::ranges::move(outside.findings, std::back_inserter(report.findings));
}

void print_findings(const std::vector<replay::finding>& findings, std::uint64_t found,
                    const char* outside) {
  print(fmt::format("NOT as it was written: {} found. The first bad place: {}\n",
                    with_commas(found), place_of(findings.front(), outside)));
  for (const auto& f : findings)
    print(fmt::format("  {:16}  {}: {}\n", replay::to_string(f.kind), place_of(f, outside),
                      printable(f.what)));
  if (found > findings.size())
    print(fmt::format("  and {} more\n", with_commas(found - findings.size())));
}

void write_findings(json_writer& json, const std::vector<replay::finding>& findings,
                    std::uint64_t found) {
  json.member("found", found).key("findings").begin_array();
  for (const auto& f : findings) {
    json.begin_object().member("kind", replay::to_string(f.kind));
    if (!f.stream.empty())
      json.member("stream", f.stream.value);
    if (f.seq > 0)
      json.member("seq", f.seq);
    if (f.offset >= 0)
      json.member("partition", f.partition).member("offset", f.offset);
    json.member("what", f.what).end_object();
  }
  json.end_array();
}

} // namespace runledger::cli
