"""Scenarios at the same time, each in a process that has nothing of the others."""

import concurrent.futures
import contextlib
import io
import multiprocessing


def run_all(jobs, run, tasks):
    """What `run(*task)` returned for each, in the order in which they ended. With several jobs a task's output is printed
    when it has ended.
    """
    if jobs == 1:
        return [run(*task) for task in tasks]
    results = []
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        try:
            for ended in concurrent.futures.as_completed([pool.submit(_captured, run, task) for task in tasks]):
                result, text = ended.result()
                print(text, end="", flush=True)
                results.append(result)
        except BaseException:
            # Each ends what it began.
            for child in multiprocessing.active_children():
                child.terminate()
            raise
    return results


def _captured(run, task):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        result = run(*task)
    return result, said.getvalue()
