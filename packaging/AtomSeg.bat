@echo off
rem Double-click on Windows. This window shows the first set-up and stays open if the start fails.
title AtomSeg
pushd "%~dp0.."
set "PYTHON=python"
where py >nul 2>nul && set "PYTHON=py -3"
%PYTHON% main.py %*
if errorlevel 1 (
    echo.
    echo AtomSeg could not start; the reason is above. It needs Python 3.11 or newer from python.org.
    pause
)
popd
