"""Bars of several threads share the terminal; a log gets lines."""

import logging
import sys
import threading

from dql import bars
from dql.bars import progress_bar


def test_bars_of_several_threads_are_one_display(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    both = threading.Barrier(3)
    faults = []

    def work(name):
        try:
            with progress_bar(name, 10, unit="bytes") as progress:
                progress(4)
                both.wait(10)
                both.wait(10)
        except Exception as error:
            faults.append(error)

    with progress_bar("files", 2) as progress:
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        both.wait(10)
        (display,) = bars._displays
        drawn = {task.description: task.completed for task in display.tasks}
        texts = [bars._CountColumn().render(task).plain for task in display.tasks]
        both.wait(10)
        for thread in threads:
            thread.join()
        progress(1)
        assert [task.description for task in display.tasks] == ["files"]
    assert faults == []
    assert drawn == {"files": 0, "a": 4, "b": 4}
    assert texts[0] == "0/2" and all("4/10 bytes" in text for text in texts[1:])
    assert bars._displays == []


def test_a_log_gets_a_line_now_and_then(monkeypatch, caplog):
    monkeypatch.setattr(bars, "LINE_INTERVAL", 0.0)
    with caplog.at_level(logging.INFO), progress_bar("rows", 4, start=1) as progress:
        progress(2)
    assert caplog.messages == ["rows: 3 of 4 (75%)"]
