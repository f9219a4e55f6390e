"""What is told of another library's exception."""

from portproof.bundle.errors import one_line


def test_a_graph_error_is_told_without_the_frames_of_its_node() -> None:
    error = ValueError(
        "Graph execution error:\n\nDetected at node Slice defined at (most recent call last):\n"
        '  File "/home/user/train.py", line 5, in <module>\n\n'
        '  File "/home/user/train.py", line 4, in f\n\n'
        "Expected size[0] in [0, 16], but got 24\n\t [[{{node Slice}}]] [Op:__inference_f_17]"
    )
    reason = (
        "Graph execution error: Detected at node Slice: Expected size[0] in [0, 16], but got 24"
    )
    assert one_line(error) == reason
