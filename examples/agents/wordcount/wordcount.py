"""Measures a text: counts, readability, the most frequent words. Writes report.md and words.csv.

The prompt is the text, or `file:ballad.txt` for the bundled one. Instead of a prompt, an initial
state {"text" or "file", "top", "pause_ms"}; `pause_ms` slows every step down, so that one can watch
it, or kill the server in the middle.
"""
import collections, hashlib, os, re, time, unicodedata

import runledger_agent

STOP_WORDS = set(
    "a an and are as at be but by for from had has have he her him his i if in into is it its me my no nor"
    " not of on or our she so than that the their them then there they this to up was we were what when"
    " which who will with you your".split())


def words_of(text):
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())


def syllables_in(word):
    """An estimate: groups of vowels, a silent e at the end not counted."""
    groups = len(re.findall(r"[aeiouyäöü]+", word))
    return max(1, groups - (groups > 1 and word.endswith("e") and not word.endswith("le")))


def wanted(run):
    state = run.initial_state if isinstance(run.initial_state, dict) else {}
    text, file = state.get("text", run.prompt), state.get("file")
    if file is None and text and text.strip().startswith("file:"):
        file = text.strip()[len("file:"):]
    if file is None and not (text and text.strip()):
        raise runledger_agent.AgentError("there is no text to measure", "no_text")
    return text, file, int(state.get("top", 10)), int(state.get("pause_ms", 0))


def normalised(text, file):
    if file is not None:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.path.basename(file))
        try:
            with open(path, encoding="utf-8") as source:
                text = source.read()
        except OSError as error:
            raise runledger_agent.AgentError(f"no bundled file {file}: {error}", "no_text")
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip().split("\n")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def load(run, text, file):
    text = normalised(text, file)
    run.write_file("text.txt", text)
    return {"characters": len(text), "lines": text.count("\n"),
            "sha256": hashlib.sha256(text.encode()).hexdigest()}


def read_text(run, loaded):
    """The normalised text of the step `load`. The work folder is kept over the attempts of a run."""
    with open(run.path("text.txt"), encoding="utf-8", newline="") as file:
        text = file.read()
    if hashlib.sha256(text.encode()).hexdigest() != loaded["sha256"]:
        raise runledger_agent.AgentError("text.txt is not what the step load wrote", "changed_text")
    return text


def make_again(run, name, content):
    """What a finished step left is made again: a forked run, or an attempt on another node, begins with an
    empty work folder."""
    if not os.path.exists(run.path(name)):
        run.write_file(name, content())


def csv_of(text):
    rows = sorted(collections.Counter(words_of(text)).items(), key=lambda row: (-row[1], row[0]))
    return "word,count\n" + "".join(f"{word},{n}\n" for word, n in rows)


def count(run, loaded):
    text = read_text(run, loaded)
    counts = collections.Counter(words_of(text))
    run.write_file("words.csv", csv_of(text))
    return {"words": sum(counts.values()), "distinct": len(counts),
            "sentences": max(1, len(re.findall(r"[.!?…]+(?=\s|$|[\"'”’)])", text))),
            "paragraphs": len(re.findall(r"\n\s*\n", text)) + 1}


def readability(run, loaded, counts):
    words = words_of(read_text(run, loaded))
    if not words:
        raise runledger_agent.AgentError("the text has no words", "no_text")
    per_sentence = len(words) / counts["sentences"]
    per_word = sum(map(syllables_in, words)) / len(words)
    ease = 206.835 - 1.015 * per_sentence - 84.6 * per_word
    return {"flesch_reading_ease": round(ease, 1), "words_per_sentence": round(per_sentence, 1),
            "syllables_per_word": round(per_word, 2)}


def top_words(run, loaded, top):
    counts = collections.Counter(w for w in words_of(read_text(run, loaded)) if w not in STOP_WORDS)
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:top]
    return [{"word": word, "count": n} for word, n in rows]


def report_of(loaded, counts, ease, top):
    lines = ["# Report", "", "| measure | value |", "|---|---|"]
    for measure, value in {"characters": loaded["characters"], **counts, **ease}.items():
        lines.append(f"| {measure.replace('_', ' ')} | {value} |")
    lines += ["", "## Most frequent words", ""]
    lines += [f"{place}. {row['word']}: {row['count']}" for place, row in enumerate(top, 1)]
    return "\n".join(lines) + "\n"


def report(run, loaded, counts, ease, top):
    text = report_of(loaded, counts, ease, top)
    run.write_file("report.md", text)
    return {"path": "report.md", "sha256": hashlib.sha256(text.encode()).hexdigest()}


def main(run):
    text, file, top, pause_ms = wanted(run)

    def step(key, function, *args):
        def noted():
            # One line an execution: shows which steps ran, and how often, whatever was killed when.
            with open(run.path("effects.log"), "a", encoding="utf-8") as effects:
                effects.write(f"{run.idempotency_key()} {run.step_attempt}\n")
            time.sleep(pause_ms / 1000)
            return function(run, *args)
        return run.step(key, noted, name=key.replace("-", " "), kind="compute")

    loaded = step("load", load, text, file)
    make_again(run, "text.txt", lambda: normalised(text, file))
    counts = step("count-words", count, loaded)
    make_again(run, "words.csv", lambda: csv_of(read_text(run, loaded)))
    run.checkpoint({"loaded": loaded, "counts": counts})
    ease = step("readability", readability, loaded, counts)
    frequent = step("top-words", top_words, loaded, top)
    written = step("write-report", report, loaded, counts, ease, frequent)
    make_again(run, "report.md", lambda: report_of(loaded, counts, ease, frequent))
    run.artifact("report.md", media_type="text/markdown")
    run.artifact("words.csv", media_type="text/csv")
    run.usage(tokens_in=counts["words"], tokens_out=len(frequent), cost_usd="0.000100",
              model="wordcount", category="compute")
    names = ", ".join(row["word"] for row in frequent[:3])
    run.log("report written", sha256=written["sha256"])
    run.message(f"{counts['words']} words, {counts['distinct']} of them distinct, in"
                f" {counts['sentences']} sentences. Reading ease {ease['flesch_reading_ease']}."
                f" Most frequent: {names}.")
    return {**counts, **ease, "top": frequent, "report": written}


runledger_agent.serve(main)
