// The repository's own rules: what no compiler and no formatter checks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <regex.h>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace runledger {

namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct source_file {
  std::string path; // From the root.
  std::string text;
  std::vector<std::string_view> lines;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

/// Every text file of the project; what is built, downloaded or stored is not of it.
const std::vector<source_file>& all_files() {
  static const auto files = [] {
    std::vector<source_file> found;
    const fs::path root = RUNLEDGER_SOURCE_DIR;
    const std::set<std::string> skipped{"build",  ".git",        "runledger-data",
                                        ".cache", "__pycache__", "node_modules"};
    const std::set<std::string> binary{".o", ".png", ".gif", ".db", ".bin"};
    for (auto at = fs::recursive_directory_iterator{root}; at != fs::end(at); ++at) {
      const auto name = at->path().filename().string();
      if (at->is_directory() && skipped.contains(name))
        at.disable_recursion_pending();
      if (!at->is_regular_file() || binary.contains(at->path().extension()) || name == ".git")
        continue;
      std::ifstream in{at->path(), std::ios::binary};
      found.push_back(
          {fs::relative(at->path(), root).string(), {std::istreambuf_iterator<char>{in}, {}}, {}});
    }
    for (auto& file : found)
      file.lines = lines_of(file.text);
    return found;
  }();
  return files;
}

bool is_cpp(std::string_view path) {
  return path.ends_with(".cpp") || path.ends_with(".hpp");
}

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && path.substr(folder.size()).starts_with('/');
}

std::size_t characters_in(std::string_view line) {
  return static_cast<std::size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string at_line(const source_file& file, std::size_t index) {
  return file.path + ":" + std::to_string(index + 1);
}

/// Places of lines that hold the text, in files that the filter takes.
template <class Filter>
std::vector<std::string> places_of(std::string_view text, Filter&& takes) {
  std::vector<std::string> places;
  for (const auto& file : all_files()) {
    if (file.path == "tests/tidy_test.cpp" || !takes(file.path))
      continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      if (file.lines[i].find(text) != std::string_view::npos)
        places.push_back(at_line(file, i));
  }
  return places;
}

/// The name in quotes or angle brackets of an include line; empty elsewhere.
std::string_view included(std::string_view line, char open, char close) {
  const auto hash = line.find_first_not_of(" \t");
  if (hash == std::string_view::npos || !line.substr(hash).starts_with("#include"))
    return {};
  const auto begin = line.find(open);
  const auto end = begin == std::string_view::npos ? begin : line.find(close, begin + 1);
  return end == std::string_view::npos ? std::string_view{}
                                       : line.substr(begin + 1, end - begin - 1);
}

/// A piece of code from `{` to `}` that belongs to a function, in lines.
struct function_span {
  std::string head;
  std::size_t first_line, lines;
};

/// C++ without comments, literals and preprocessor lines; line breaks stay.
std::string code_only(std::string_view text) {
  std::string out;
  std::size_t i = 0;
  const auto keep_breaks = [&](std::size_t end) {
    end = std::min(end, text.size());
    for (; i < end; ++i)
      if (text[i] == '\n')
        out += '\n';
  };
  bool line_is_empty = true;
  while (i < text.size()) {
    const auto rest = text.substr(i);
    const bool after_word =
        !out.empty() && (std::isalnum(static_cast<unsigned char>(out.back())) || out.back() == '_');
    if (rest.starts_with("//") || (line_is_empty && rest.starts_with('#'))) {
      auto end = text.find('\n', i);
      while (end != std::string_view::npos && text[end - 1] == '\\')
        end = text.find('\n', end + 1);
      keep_breaks(end);
    } else if (rest.starts_with("/*")) {
      keep_breaks(text.find("*/", i + 2) == std::string_view::npos ? text.size()
                                                                   : text.find("*/", i + 2) + 2);
    } else if (rest.starts_with("R\"") && !after_word) {
      const auto open = text.find('(', i);
      const auto close = fmt::format("){}\"", text.substr(i + 2, open - i - 2));
      const auto end = text.find(close, open);
      keep_breaks(end == std::string_view::npos ? text.size() : end + close.size());
      out += 'L';
    } else if (text[i] == '"' || (text[i] == '\'' && !after_word)) {
      auto end = i + 1;
      while (end < text.size() && text[end] != text[i])
        end += text[end] == '\\' ? 2 : 1;
      keep_breaks(end + 1);
      out += 'L';
    } else {
      line_is_empty = text[i] == '\n' || (line_is_empty && text[i] == ' ');
      out += text[i++];
    }
  }
  return out;
}

enum class scope { outer, function, other };

/// What a brace opens, by the text between it and the statement before.
scope scope_of(std::string_view head) {
  const auto begin = head.find_first_not_of(" \n\t");
  head = begin == std::string_view::npos ? std::string_view{} : head.substr(begin);
  for (const std::string_view word : {"namespace", "class ", "struct ", "union ", "extern "})
    if (head.starts_with(word))
      return scope::outer;
  const bool is_type = head.starts_with("template") && head.find('(') == std::string_view::npos;
  if (is_type)
    return scope::outer;
  return head.find('(') == std::string_view::npos || head.starts_with("enum ") ? scope::other
                                                                               : scope::function;
}

std::vector<function_span> functions_of(std::string_view text) {
  const auto code = code_only(text);
  std::vector<function_span> found;
  struct open_brace {
    scope what;
    std::string head;
    std::size_t line;
  };
  std::vector<open_brace> open;
  std::string head;
  std::size_t line = 1, head_line = 1;
  for (const char c : code) {
    if (c == '\n')
      ++line;
    if (head.find_first_not_of(" \n\t") == std::string::npos)
      head_line = line;
    if (c == '{') {
      const bool inside = !open.empty() && open.back().what != scope::outer;
      open.push_back({inside ? scope::other : scope_of(head), head, head_line});
      head.clear();
    } else if (c == '}') {
      if (!open.empty() && open.back().what == scope::function)
        found.push_back({open.back().head, open.back().line, line - open.back().line + 1});
      if (!open.empty())
        open.pop_back();
      head.clear();
    } else if (c == ';') {
      head.clear();
    } else {
      head += c;
    }
  }
  return found;
}

/// Who may include whom. tests/ and examples/ may include everything.
const std::map<std::string, std::set<std::string>> allowed_arrows{
    {"events", {"events"}},
    {"projections", {"events", "projections"}},
    {"actors", {"events", "actors"}},
    {"http", {"events", "projections", "actors", "http"}},
    {"cli", {"events", "projections", "actors", "http", "cli"}},
};

std::string folder_of(std::string_view path) {
  return std::string{path.substr(0, path.find('/'))};
}

/// Functions that were longer than 70 lines when the rule came, by file: each may shrink and none
/// may grow.
const std::map<std::string, std::size_t> known_long_functions{};

constexpr std::size_t longest_line = 100, longest_function = 70, longest_file = 700;

} // namespace

// Goal: a layer includes only itself and the layers below it, and every quoted include is a path
// from the root.
TEST(tidy, layers_include_only_what_is_below_them) {
  std::vector<std::string> wrong;
  for (const auto& file : all_files()) {
    if (!is_cpp(file.path) || is_below(file.path, "examples"))
      continue;
    const auto rule = allowed_arrows.find(folder_of(file.path));
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto name = included(file.lines[i], '"', '"');
      if (name.empty() || name == "cli/version_text.hpp")
        continue;
      const bool exists = fs::exists(fs::path{RUNLEDGER_SOURCE_DIR} / name);
      const bool allowed = rule == allowed_arrows.end() || rule->second.contains(folder_of(name));
      if (!exists || !allowed)
        wrong.push_back(at_line(file, i) + " " + std::string{name});
    }
  }
  EXPECT_THAT(wrong, IsEmpty());
}

// Goal: replay works with the actor system absent, and the edge does not know which one there is.
TEST(tidy, caf_stays_in_the_actors) {
  std::vector<std::string> wrong;
  for (const auto& file : all_files())
    if (is_cpp(file.path) && allowed_arrows.contains(folder_of(file.path))
        && !is_below(file.path, "actors"))
      for (std::size_t i = 0; i < file.lines.size(); ++i)
        if (included(file.lines[i], '<', '>').starts_with("caf/") && file.path != "http/ask.hpp")
          wrong.push_back(at_line(file, i));
  EXPECT_THAT(wrong, IsEmpty());
}

TEST(tidy, headers_are_included_once_and_sources_begin_with_their_own) {
  std::vector<std::string> wrong;
  for (const auto& file : all_files()) {
    if (file.path.ends_with(".hpp") && file.text.find("#pragma once") == std::string::npos)
      wrong.push_back(file.path);
    if (!file.path.ends_with(".cpp") || !allowed_arrows.contains(folder_of(file.path)))
      continue;
    const auto own = fs::path{file.path}.replace_extension(".hpp").string();
    const auto first =
        std::find_if(file.lines.begin(), file.lines.end(),
                     [](std::string_view line) { return line.starts_with("#include"); });
    if (fs::exists(fs::path{RUNLEDGER_SOURCE_DIR} / own)
        && (first == file.lines.end() || included(*first, '"', '"') != own))
      wrong.push_back(file.path);
  }
  EXPECT_THAT(wrong, IsEmpty());
}

TEST(tidy, lines_are_short) {
  std::vector<std::string> wrong;
  for (const auto& file : all_files())
    for (std::size_t i = 0; is_cpp(file.path) && i < file.lines.size(); ++i)
      if (characters_in(file.lines[i]) > longest_line)
        wrong.push_back(at_line(file, i));
  EXPECT_THAT(wrong, IsEmpty());
}

TEST(tidy, files_are_short) {
  std::vector<std::string> wrong;
  for (const auto& file : all_files()) {
    const bool is_code = is_cpp(file.path) || file.path.ends_with(".py")
                         || file.path.ends_with(".mjs") || is_below(file.path, "scripts");
    if (is_code && file.lines.size() > longest_file)
      wrong.push_back(file.path + " has " + std::to_string(file.lines.size()) + " lines");
  }
  EXPECT_THAT(wrong, IsEmpty());
}

// Goal: functions fit a screen; the known exceptions do not grow, and one that has shrunk leaves
// the list.
TEST(tidy, functions_are_short) {
  std::vector<std::string> wrong;
  std::map<std::string, std::size_t> longest;
  for (const auto& file : all_files()) {
    if (!is_cpp(file.path))
      continue;
    const auto known = known_long_functions.find(file.path);
    const auto limit = known == known_long_functions.end() ? longest_function : known->second;
    for (const auto& span : functions_of(file.text)) {
      longest[file.path] = std::max(longest[file.path], span.lines);
      if (span.lines > limit)
        wrong.push_back(file.path + ":" + std::to_string(span.first_line) + " "
                        + std::to_string(span.lines) + " lines");
    }
  }
  for (const auto& [path, limit] : known_long_functions)
    if (longest[path] < limit)
      wrong.push_back(path + ": the list says " + std::to_string(limit) + ", it is "
                      + std::to_string(longest[path]));
  EXPECT_THAT(wrong, IsEmpty());
}

// Goal: the measure itself sees what it should; a rule that finds nothing would pass for ever.
TEST(tidy, the_measure_of_functions_sees_them) {
  const auto spans = functions_of("namespace a {\n"
                                  "#define X() {\n"
                                  "// f() {\n"
                                  "int f(int x,\n"
                                  "      int y) {\n"
                                  "  auto s = R\"q({{\n)q\";\n"
                                  "  if (x) {\n"
                                  "    g({1, 2}, '{', \"{\", 1'000);\n"
                                  "  }\n"
                                  "}\n"
                                  "struct s {\n"
                                  "  int v{3};\n"
                                  "  void m() const { go(); }\n"
                                  "};\n"
                                  "}\n");
  std::vector<std::size_t> lines;
  for (const auto& span : spans)
    lines.push_back(span.lines);
  EXPECT_THAT(lines, ElementsAre(8, 1));
  EXPECT_EQ(spans.at(0).first_line, 4u);
}

// Goal: what is left to do has an issue in which someone can find it.
TEST(tidy, open_ends_name_their_issue) {
  regex_t open_end;
  ASSERT_EQ(::regcomp(&open_end, "(TO[D]O|FIX[M]E)([^a-zA-Z0-9_]|$)", REG_EXTENDED), 0);
  std::vector<std::string> wrong;
  for (const auto& file : all_files())
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string line{file.lines[i]};
      if (!file.path.ends_with(".md") && ::regexec(&open_end, line.c_str(), 0, nullptr, 0) == 0
          && line.find("(#") == std::string::npos && file.path != "tests/tidy_test.cpp")
        wrong.push_back(at_line(file, i));
    }
  ::regfree(&open_end);
  EXPECT_THAT(wrong, IsEmpty());
}

// Goal: std::regex needs seconds, or the stack, for what a caller can send; RE2 does not.
TEST(tidy, no_standard_regex) {
  EXPECT_THAT(places_of("<regex>", is_cpp), IsEmpty());
  EXPECT_THAT(places_of("std::regex", is_cpp), IsEmpty());
}

// Goal: a test waits for a condition with a deadline; the waiting itself is written once, in
// tests/support. What is left are rates of a load and random moments of a kill: no more of them.
TEST(tidy, tests_do_not_sleep) {
  const std::map<std::string, std::size_t> known{{"tests/crash/random_kills_test.cpp", 3},
                                                 {"tests/unit/events/log_sqlite_test.cpp", 1}};
  const auto in_tests = [](std::string_view path) {
    return is_cpp(path) && is_below(path, "tests") && !is_below(path, "tests/support")
           && !is_below(path, "tests/bench");
  };
  std::map<std::string, std::size_t> found;
  for (const auto* call : {"sleep_for", "sleep_until", "usleep(", "nanosleep(", " sleep("})
    for (const auto& place : places_of(call, in_tests))
      ++found[place.substr(0, place.rfind(':'))];
  for (const auto& [path, count] : found)
    EXPECT_LE(count, known.contains(path) ? known.at(path) : 0) << path;
}

// Goal: the project speaks of itself alone: no folders of one machine, no trailers, no hosts of
// registries.
TEST(tidy, the_project_speaks_of_itself) {
  const auto everywhere = [](std::string_view) { return true; };
  // The bars keep this file from holding what it looks for.
  for (std::string word :
       {"/wo|rk/main", "/wo|rk/shared", "/tmp/|w/", "Co-Auth|ored-By", "regis|try.npmjs",
        "py|pi.org", "crates|.io", "repo1.ma|ven", "proxy.go|lang"}) {
    word.erase(word.find('|'), 1);
    EXPECT_THAT(places_of(word, everywhere), IsEmpty()) << word;
  }
}

} // namespace runledger
